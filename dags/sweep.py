"""Wakes what an asset event should have woken: Airflow may lose an event, the ledger forgets nothing.

*Triage*: skipped `wake_` tasks mean that nothing waits, and are healthy. Any task here can be cleared at any time. A
failure says that a store does not answer, and its log says which; the next run does the same again. Batches that
landed are not woken here: `ingest_batch` looks for them by its own timer.
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
        raise AirflowSkipException("Every batch is monitored.")


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
    found = waiting()
    reconcile() >> found
    wake_monitor.override(outlets=[model.asset("batches")])(found["unmonitored"])
    wake_retrain.override(outlets=[model.asset("requests")])(found["requests"])
