"""Wake DAGs whose asset event was lost: Airflow may lose an event, but the ledger still knows what waits.

*Triage*: Skipped `wake_` tasks mean that nothing waits, and are healthy. Any task can be cleared at any time. A failure
means that a store does not answer; its log says which, and the next run tries again. `sweep` does not wake
`ingest_batch`, which looks for landed batches on its own schedule.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowSkipException
from trimtab_models import Model, models


@task
def reconcile() -> dict[str, Any]:
    from trimtab.loop.reconcile import reconcile

    return reconcile()


@task
def waiting() -> dict[str, bool]:
    from trimtab.loop.sweep import waiting

    return waiting()


@task
def wake_monitor(unmonitored: bool) -> None:
    if not unmonitored:
        raise AirflowSkipException("Every batch is measured.")


@task
def wake_retrain(requests: bool) -> None:
    if not requests:
        raise AirflowSkipException("No request waits.")


def sweep(model: Model) -> None:
    with DAG(
        dag_id=model.dag_id("sweep"),
        schedule="*/10 * * * *",
        catchup=False,
        max_active_runs=1,
        tags=["trimtab", "impact/tier_2", *model.tags],
        default_args={
            "owner": "trimtab",
            "retries": 2,
            "retry_delay": timedelta(seconds=30),
            "execution_timeout": timedelta(minutes=5),
            **model.hook,
        },
        doc_md=__doc__,
    ):
        found = waiting()
        reconcile() >> found
        wake_monitor.override(outlets=[model.asset("batches")])(found["unmonitored"])
        wake_retrain.override(outlets=[model.asset("requests")])(found["requests"])


for one in models():
    sweep(one)
