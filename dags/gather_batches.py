"""Lands batches of the prediction log: what was served in a window, with the ground truth that is known by now.

*Triage*: does nothing unless `data.log` of `params.yaml` says how. A failed `gather` has landed whole batches or none: clear
it, or wait for the next hour. What it lands, `ingest_batch` takes in within ten minutes; a window whose labels come later is
landed again, as the next revision.
"""

from datetime import timedelta

from airflow.sdk import task
from trimtab_models import Model, trimtab_dag


@task
def gather() -> list[str]:
    from trimtab.loop.gather import gather

    return gather()


@trimtab_dag(
    lambda model: "25 * * * *",
    doc=__doc__,
    impact="tier_2",
    timeout=timedelta(hours=1),
)
def gather_batches(model: Model) -> None:
    gather()
