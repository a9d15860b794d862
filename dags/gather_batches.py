"""Lands batches of the prediction log: what was served in a window, with the ground truth that is known by now.

*Triage*: does nothing unless `data.log` of `params.yaml` says how. A failed `gather` has landed whole batches or none: clear
it, or wait for the next hour. What it lands, `ingest_batch` takes in within ten minutes; a window whose labels come later is
landed again, as the next revision.
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
