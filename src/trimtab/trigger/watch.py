"""The watch rule: is the new champion worse than the one before, beyond doubt, on what came after the promotion?"""

from collections.abc import Sequence
from dataclasses import dataclass

from trimtab import params
from trimtab.contracts import Comparison, Watch
from trimtab.evaluate.compare import paired
from trimtab.evaluate.looks import error_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What the rule says; `comparison` is None while there is nothing to compare."""

    worse: bool
    reason: str
    comparison: Comparison | None


def watch(seen: Sequence[Watch], version: str, wanted: params.Params) -> Watched:
    """Judge a new champion by the test that promoted it, the other way round.

    Each batch since the promotion is one look, and `watch.error` is spent over `watch.batches` looks as `gate.error` is
    over those of the gate. None of these batches judged or selected the new champion.

    Args:
        seen: One a batch since the promotion, oldest first; those without blocks are left out.
        version: The new champion, for the sentence.
        wanted: Number of batches, error, and what the new champion may lose.
    """
    looks = [one for one in seen if one.blocks][: wanted.watch.batches]
    if not looks:
        return Watched(
            worse=False, reason=f"no labelled batch has come since version {version}", comparison=None
        )
    rule = wanted.gate.model_copy(
        update={"judge_batches": 1, "looks": wanted.watch.batches, "error": wanted.watch.error}
    )
    blocks = [block for one in looks for block in one.blocks]
    found = paired(blocks, rule, error=error_of(len(looks), rule))
    worse = found.blocks >= rule.min_blocks and found.lower > wanted.watch.max_loss
    figures = (
        f"version {version} loses {found.gain:+.4f} {found.metric} per row against version {looks[-1].former} before "
        f"it, at least {found.lower:+.4f} beyond an error of {found.error:.1%} ({found.blocks} blocks, batch "
        f"{len(looks)} of {wanted.watch.batches} since the promotion; watch.max_loss is {wanted.watch.max_loss:g})"
    )
    return Watched(worse=worse, reason=figures, comparison=found)
