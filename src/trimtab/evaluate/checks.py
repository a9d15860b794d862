"""What must hold for a deployment besides the comparison of losses: one named check each, pooled over batches."""

from collections.abc import Iterator, Sequence

from trimtab import params
from trimtab.contracts import Check, Examined
from trimtab.evaluate import calibration
from trimtab.evaluate.compare import bound_text, paired
from trimtab.evaluate.record import BASELINE, Pick, Record, blocks, model, scores_of


def check_all(
    record: Record, champion: Pick, challenger: Pick, gate: params.Gate, examined: Examined | None
) -> Sequence[Check]:
    """Return every check on the same evidence, those that passed too: what held is evidence as well.

    Args:
        record: The batches that count.
        champion: The model in Production.
        challenger: The models that are compared with it.
        gate: The limits.
        examined: What else is known of the model that would be deployed.
    """
    return (
        _predictions(record, challenger),
        *_baseline(record, champion, challenger, gate),
        *_calibration(record, champion, challenger, gate),
        *_slices(record, champion, challenger, gate),
        *(_of_model(examined, gate) if examined else ()),
    )


def _predictions(record: Record, challenger: Pick) -> Check:
    scores = scores_of(record, challenger).values()
    invalid = sum(score.invalid for score in scores)
    return Check(
        name="predictions",
        passed=not invalid,
        value=invalid,
        limit=0.0,
        sentence=f"{invalid} of {sum(score.rows for score in scores)} predictions are no probability or no finite number",
    )


def _baseline(record: Record, champion: Pick, challenger: Pick, gate: params.Gate) -> Iterator[Check]:
    """Bar a model that loses to the baseline and to the champion.

    Right after a drift every model may be worse than a constant. A fresh model that beats the champion is an improvement
    all the same.
    """
    against_baseline = paired(blocks(record, model(BASELINE), challenger), gate, error=gate.error)
    against_champion = paired(blocks(record, champion, challenger), gate, error=gate.error)
    if against_baseline.rows:
        yield Check(
            name="baseline",
            passed=against_baseline.gain > 0 or against_champion.gain > 0,
            value=against_baseline.gain,
            limit=0.0,
            sentence=f"the fresh models lose {abs(against_baseline.gain):.4f} {gate.metric} "
            f"{'less' if against_baseline.gain > 0 else 'more'} per row than the baseline ({gate.baseline}), and "
            f"{'less' if against_champion.gain > 0 else 'more'} than the champion",
        )


def _calibration(record: Record, champion: Pick, challenger: Pick, gate: params.Gate) -> Iterator[Check]:
    ours, theirs = (scores_of(record, pick) for pick in (challenger, champion))
    if any(score.calibration for score in ours.values()):
        error, error_of_champion = calibration.expected_error(ours.values()), calibration.expected_error(
            theirs.values()
        )
        yield Check(
            name="calibration",
            passed=error - error_of_champion <= gate.max_calibration_excess,
            value=error - error_of_champion,
            limit=gate.max_calibration_excess,
            sentence=f"the calibration error is {error:.4f} against {error_of_champion:.4f}, "
            f"gate.max_calibration_excess is {gate.max_calibration_excess:g}",
        )


def _slices(record: Record, champion: Pick, challenger: Pick, gate: params.Gate) -> Iterator[Check]:
    """Bar a model that harms a slice beyond doubt and beyond `gate.slice_max_loss`.

    The error is divided among the slices (Bonferroni), so that many harmless slices together bar a good model no more
    often than one would.
    """
    parts = sorted({part for score in scores_of(record, challenger).values() for part in score.slices})
    pooled = {part: blocks(record, champion, challenger, part=part) for part in parts}
    large = {
        part: sums for part, sums in pooled.items() if sum(each.rows for each in sums) >= gate.slice_min_rows
    }
    for part, sums in large.items():
        compared = paired(sums, gate.model_copy(update={"error": gate.error / len(large)}), error=gate.error)
        yield Check(
            name=f"slice {part}",
            passed=not (compared.gain < -gate.slice_max_loss and compared.upper < 0),
            value=compared.gain,
            limit=-gate.slice_max_loss,
            sentence=f"on the {compared.rows} rows of {part} the gain is {compared.gain:+.4f} (at most "
            f"{bound_text(compared.upper)}), gate.slice_max_loss is {gate.slice_max_loss:g}",
        )


def _of_model(examined: Examined, gate: params.Gate) -> Iterator[Check]:
    yield Check(
        name="edges of the data contract",
        passed=examined.fault is None,
        value=float(examined.fault is not None),
        limit=0.0,
        sentence=examined.fault or "it predicts for nulls, undeclared categories and extremes",
    )
    yield _at_most(
        "latency", examined.milliseconds_per_row, gate.max_ms_per_row, "ms per row", "gate.max_ms_per_row"
    )
    yield _at_most("size", examined.megabytes, gate.max_model_mb, "MB", "gate.max_model_mb")


def _at_most(name: str, value: float, limit: float, unit: str, key: str) -> Check:
    return Check(
        name=name,
        passed=value <= limit,
        value=value,
        limit=limit,
        sentence=f"its {name} is {value:.3g} {unit}, {key} is {limit:g}",
    )
