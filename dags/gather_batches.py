"""Build batches from the prediction log: the predictions of a window with the outcomes that are known by now.

*Triage*: The DAG does nothing unless `data.log` in `params.yaml` is set. A failed `gather` has landed complete batches
or none: clear it, or wait for the next hour. `ingest_batch` ingests what it lands within ten minutes. A window whose
labels arrive later is landed again as the next revision.
"""

from datetime import timedelta

from airflow.sdk import task
from trimtab_models import Model, trimtab_dag


@task
def gather() -> list[str]:
    from trimtab.loop.gather import gather

    return gather()


@trimtab_dag(lambda model: "25 * * * *", doc=__doc__, impact="tier_2", timeout=timedelta(hours=1))
def gather_batches(model: Model) -> None:
    gather()
