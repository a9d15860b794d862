"""Compares what a loop did with the replay of its own history: the same losses, leaders and decisions, batch by batch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from itertools import zip_longest
from pathlib import Path

import pytest
from mlflow import MlflowClient

from trimtab.contracts import Evidence
from trimtab.evaluate.race import leaders
from trimtab.evaluate.record import BASELINE
from trimtab.ledger import Answer, Measurement, Request, Shadow, Version
from trimtab.loop.loop import Loop
from trimtab.replay.history import model_name
from trimtab.replay.play import play
from trimtab.replay.policies import trimtab
from trimtab.replay.run import open_history

_RELATIVE = 1e-9
"""Largest relative difference of a loss: the loop and the replay may sum in another order."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One measured batch: the losses on it, and what was decided after it.

    Args:
        batch: The batch.
        champion: The model in Production, None before the first one.
        losses: Of the champion, of each candidate's shadow and of the baseline.
        leader: The candidate that leads after the batch.
        action: DEPLOY or ROLLBACK, None if the champion stayed.
        model: The model that was deployed or gone back to.
        why: first, regret, age or watch.
        figures: The regret and the age at the decision, as far as there are any.
    """

    batch: str
    champion: str | None
    losses: Mapping[str, float]
    leader: str
    action: str | None = None
    model: str | None = None
    why: str | None = None
    figures: Mapping[str, float] = field(default_factory=dict)


def differences(loop: Loop, folder: Path, *, jobs: int = 1) -> tuple[Sequence[Turn], Sequence[str]]:
    """Replay the history of a loop; return what the loop did after each batch, and each difference in words.

    The loop has measured each batch once, and nobody has intervened.

    Args:
        loop: The loop.
        folder: For the fitted models of the replay.
        jobs: Number of processes that fit them.
    """
    ours, theirs = turns_of_loop(loop), turns_of_replay(loop, folder, jobs)
    return ours, [difference for pair in zip_longest(ours, theirs) for difference in _differences(*pair)]


def turns_of_loop(loop: Loop) -> list[Turn]:
    """Return what the ledger says of each batch on which a model was scored."""
    ledger = loop.ledger
    names = {
        shadow.training.run_id: model_name(shadow.candidate, shadow.batch)
        for shadow in ledger.all(Shadow)
        if shadow.training is not None
    }
    measured = [each for each in ledger.all(Measurement) if each.scores]
    moves = [answer for answer in ledger.all(Answer) if answer.action in ("DEPLOY", "ROLLBACK")]
    turns = []
    for number, each in enumerate(measured):
        later = measured[number + 1].id if number + 1 < len(measured) else None
        after = [move for move in moves if each.id < move.id and (later is None or move.id < later)]
        assert len(after) <= 1, f"Several decisions after batch {each.batch}: {after}"
        models = {"champion": each.champion or BASELINE, BASELINE: BASELINE, **each.shadows}
        turn = Turn(
            batch=each.batch,
            champion=names[each.champion] if each.champion else None,
            losses={role: each.scores[model].loss for role, model in models.items()},
            leader=each.leader,
        )
        turns.append(_with_move(turn, loop, after[0], names) if after else turn)
    return turns


def _with_move(turn: Turn, loop: Loop, answer: Answer, names: Mapping[str, str]) -> Turn:
    deployed = loop.ledger.require(Version, answer.version or "")
    return replace(
        turn,
        action=answer.action,
        model=names[deployed.training.run_id],
        why=loop.ledger.require(Request, answer.request).source,
        figures=_figures(answer.evidence),
    )


def turns_of_replay(loop: Loop, folder: Path, jobs: int = 1) -> list[Turn]:
    """Return what a replay with the loop's policy does after each batch of the loop's origin."""
    opened = open_history(folder, None, None, 0)
    history = replace(opened, ends={**opened.ends, **_cutoffs(loop)})
    history.fit_all(jobs)
    record = history.record()
    leading = list(leaders(record, loop.params))
    played = play("trimtab", trimtab(loop.params, leading), record, begin=history.begin)
    turns, waiting = [], None  # the request that waits: its answer says why a model is deployed
    for number, scored in enumerate(record):
        served = played.served(number)
        models = {"champion": served, BASELINE: BASELINE, **scored.shadows}
        turn = Turn(
            batch=scored.batch,
            champion=None if served == BASELINE else served,
            losses={role: scored.scores[model].loss for role, model in models.items()},
            leader=leading[number],
        )
        decided = played.decisions[number + 1 - history.begin] if number + 1 >= history.begin else None
        why = waiting or (decided.due if decided else None)
        waiting = why if decided is not None and decided.action == "WAIT" else None
        if decided is not None and decided.action in ("DEPLOY", "ROLLBACK"):
            target, figures = decided.evidence.target, _figures(decided.evidence)
            turn = replace(turn, action=decided.action, model=target, why=why, figures=figures)
        turns.append(turn)
    return turns


def _cutoffs(loop: Loop) -> dict[str, datetime]:
    """Return for each measured batch the time up to which labels counted: with batches that landed together, a later end."""
    client = MlflowClient(tracking_uri=loop.stores.mlflow)
    runs = {
        shadow.batch: shadow.training.run_id
        for shadow in loop.ledger.all(Shadow)
        if shadow.training is not None
    }
    return {
        batch: datetime.fromisoformat(client.get_run(run_id).data.tags["trimtab.cutoff"])
        for batch, run_id in runs.items()
    }


def _figures(evidence: Evidence | None) -> dict[str, float]:
    if evidence is None or evidence.regret is None or evidence.age is None:
        return {}
    return {"regret": evidence.regret.share, "age": evidence.age}


def _differences(ours: Turn | None, theirs: Turn | None) -> Iterator[str]:
    if ours is None or theirs is None:
        only = ours or theirs
        assert only is not None
        yield f"{only.batch}: only the {'loop' if ours else 'replay'} has it"
        return
    for name in (each.name for each in fields(Turn)):
        mine, other = getattr(ours, name), getattr(theirs, name)
        equal = (
            mine == pytest.approx(other, rel=_RELATIVE, abs=_RELATIVE)
            if isinstance(mine, dict)
            else mine == other
        )
        if not equal:
            yield f"{ours.batch}: {name} of the loop is {mine}, of the replay {other}"
