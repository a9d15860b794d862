"""Which batches the champion has not been measured on, and what the rules in `params.yaml` make of those that it has."""

import logging
from collections.abc import Sequence
from typing import Any

from trimtab.drift import policy
from trimtab.ledger import Batch, Observation, Request, queries, state
from trimtab.loop.loop import Loop, open_loop

log = logging.getLogger(__name__)


def find_unmonitored() -> list[dict[str, Any]]:
    """Return one item per batch revision that the champion has not been measured on: batch, revision, champion, commit.

    Batches that the champion was trained on are not among them. All items of a DAG run have the parameters of one commit.
    """
    loop = open_loop()
    live, refs = queries.unmeasured(loop.ledger)
    return [
        {"batch": ref.batch, "revision": ref.revision, "champion": live, "commit": loop.commit}
        for ref in refs
    ]


def assess() -> int:
    """Write a request for each observation of the champion that a rule acts on; return how many requests wait.

    An observation has at most one request: its key names detector, batch, revision and champion. A promotion has at most one
    request for its rollback.
    """
    loop = open_loop()
    champion = loop.champion()
    if champion is not None:
        observations = loop.ledger.all(Observation, champion=champion.version)
        for seen in observations:
            assessment = policy.assess(seen, loop.params)
            log.info("Batch %s, version %s: %s", seen.batch, seen.champion, assessment.reason)
            if assessment.source is not None:
                loop.ledger.append(
                    Request(
                        source=assessment.source,
                        episode=seen.key,
                        reason=assessment.reason,
                        # Late labels ask as of now: a retraining that came after their batch has not seen them.
                        event_time=loop.event_now(),
                        champion=seen.champion,
                    )
                )
        _assess_watch(loop, champion.version, observations)
    return len(queries.waiting_requests(loop.ledger))


def _assess_watch(loop: Loop, champion: str, observations: Sequence[Observation]) -> None:
    from trimtab.trigger.watch import watch

    promotion = state.promotion_of(queries.completed(loop.ledger), champion)
    if promotion is None or promotion.replaces is None:
        return
    newest = {seen.batch: seen.watch for seen in observations if seen.watch is not None}
    in_force = [batch.manifest for batch in state.batches_in_force(loop.ledger.all(Batch))]
    ordered = [manifest for manifest in in_force if manifest.batch in newest]
    watched = watch([newest[manifest.batch] for manifest in ordered], champion, loop.params)
    log.info("Watch: %s", watched.reason)
    if watched.worse:
        loop.ledger.append(
            Request(
                source="watch",
                episode=promotion.key,
                reason=watched.reason,
                event_time=ordered[-1].end,
                champion=champion,
                challenger=promotion.replaces,
            )
        )
