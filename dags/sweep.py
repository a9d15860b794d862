"""Wake DAGs whose asset event was lost: Airflow may lose an event, but the ledger still knows what waits.

*Triage*: Skipped `wake_` tasks mean that nothing waits, and are healthy. Any task can be cleared at any time. A failure
means that a store does not answer; its log says which, and the next run tries again. `sweep` does not wake
`ingest_batch`, which looks for landed batches on its own schedule.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException
from trimtab_models import Model, trimtab_dag


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


@trimtab_dag(
    lambda model: "*/10 * * * *",
    doc=__doc__,
    impact="tier_2",
    timeout=timedelta(minutes=5),
)
def sweep(model: Model) -> None:
    work = waiting()
    reconcile() >> work
    wake_monitor.override(outlets=[model.asset("batches")])(work["unmonitored"])
    wake_retrain.override(outlets=[model.asset("requests")])(work["requests"])
