"""From an observation in the ledger to what the page shows of it."""

from math import log

from trimtab.contracts import ColumnDrift
from trimtab.drift import policy
from trimtab.ledger.records import ObservationRecord
from trimtab.params import Params
from trimtab.views.page.view import Cell, Measured


def measured(record: ObservationRecord, wanted: Params) -> Measured:
    """Return what the page shows of an observation, judged by the parameters in force."""
    one = record.observation
    found, said = one.concept, policy.assess(one, wanted)
    known = found.reference_mean is not None and found.reference_sd is not None
    return Measured(
        batch=one.batch,
        revision=one.revision,
        champion=one.champion,
        at=record.at,
        labelled=found.score.labelled,
        rows=found.score.rows,
        loss=found.score.loss if found.score.labelled else None,
        lower=found.lower,
        upper=found.upper,
        auc=found.score.auc,
        mean=found.reference_mean,
        alarm=_alarm(found.reference_mean, found.reference_sd, wanted) if known else None,
        sigmas=found.sigmas,
        abstained=found.abstained,
        concept_drift=said.concept_drift,
        data_drift=said.data_drift,
        share=one.data.share,
        run_id=one.report_run_id,
        cells=tuple(_cell(column) for column in one.data.columns),
    )


def _alarm(mean: float | None, sd: float | None, wanted: Params) -> float | None:
    return None if mean is None or sd is None else mean + wanted.drift.concept.sigmas * sd


_TINY = 1e-300
"""Below every p-value that is told from zero."""


def _cell(column: ColumnDrift) -> Cell:
    return Cell(
        feature=column.column,
        ratio=ratio(column),
        drifted=column.drifted,
        statistic=column.statistic,
        score=column.score,
        threshold=column.threshold,
    )


def ratio(column: ColumnDrift) -> float:
    """Return the score in thresholds; of a p-value, of which only little is much, the logarithms'."""
    if "p_value" in column.statistic and 0 < column.threshold < 1:
        return log(max(column.score, _TINY)) / log(column.threshold)
    if column.threshold <= 0:
        return float("inf") if column.drifted else 0.0
    return column.score / column.threshold
