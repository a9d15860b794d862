"""The watch rule: is the new champion worse than the one before, beyond doubt, on what came after the promotion?"""

from collections.abc import Sequence
from dataclasses import dataclass

from trimtab.contracts import Watch
from trimtab.evaluate.compare import paired
from trimtab.evaluate.looks import error_of
from trimtab.params import Params


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What the rule says."""

    worse: bool
    reason: str


def watch(seen: Sequence[Watch], version: str, params: Params) -> Watched:
    """Judge a new champion by the test that promoted it, the other way round.

    Each batch since the promotion is one look, and `watch.error` is spent over `watch.batches` looks as `gate.error` is
    over those of the gate. None of these batches judged or selected the new champion.

    Args:
        seen: One a batch since the promotion, oldest first; those without blocks are left out.
        version: The new champion, for the sentence.
        params: Number of batches, error, and what the new champion may lose.
    """
    looks = [look for look in seen if look.blocks][: params.watch.batches]
    if not looks:
        return Watched(worse=False, reason=f"no labelled batch has come since version {version}")
    rule = params.gate.model_copy(
        update={"judge_batches": 1, "looks": params.watch.batches, "error": params.watch.error}
    )
    blocks = [block for look in looks for block in look.blocks]
    comparison = paired(blocks, rule, error=error_of(len(looks), rule))
    figures = (
        f"version {version} loses {comparison.gain:+.4f} {comparison.metric} per row against version {looks[-1].former} "
        f"before it, at least {comparison.lower:+.4f} beyond an error of {comparison.error:.1%} "
        f"({comparison.blocks} blocks, batch {len(looks)} of {params.watch.batches} since the promotion; "
        f"watch.max_loss is {params.watch.max_loss:g})"
    )
    worse = comparison.blocks >= rule.min_blocks and comparison.lower > params.watch.max_loss
    return Watched(worse=worse, reason=figures)
