"""Build batches from the prediction log: the predictions of a window with the outcomes that are known by now.

*Triage*: The DAG does nothing unless `data.log` in `params.yaml` is set. A failed `gather` has landed complete batches
or none: clear it, or wait for the next hour. `ingest_batch` ingests what it lands within ten minutes. A window whose
labels arrive later is landed again as the next revision.
"""

from datetime import timedelta

from airflow.sdk import DAG, task
from trimtab_models import Model, models


@task
def gather() -> list[str]:
    from trimtab.loop.gather import gather

    return gather()


def gather_batches(model: Model) -> None:
    with DAG(
        dag_id=model.dag_id("gather_batches"),
        schedule="25 * * * *",
        catchup=False,
        max_active_runs=1,
        tags=["trimtab", "impact/tier_2", *model.tags],
        default_args={
            "owner": "trimtab",
            "retries": 2,
            "retry_delay": timedelta(seconds=30),
            "execution_timeout": timedelta(hours=1),
            **model.hook,
        },
        doc_md=__doc__,
    ):
        gather()


for one in models():
    gather_batches(one)
