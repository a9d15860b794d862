"""Wake DAGs whose asset event was lost: Airflow may lose an event, but the ledger still knows what waits.

*Triage*: Skipped `wake_` tasks mean that nothing waits, and are healthy. Any task can be cleared at any time. A failure
means that a store does not answer; its log says which, and the next run tries again. `sweep` does not wake
`ingest_batch`, which looks for landed batches on its own schedule.
"""

from datetime import timedelta

from airflow.sdk import task
from trimtab_models import Model, trimtab_dag
from trimtab_operators import reconcile, wake


@task
def waiting() -> dict[str, bool]:
    from trimtab.loop.sweep import waiting

    return waiting()


@trimtab_dag(lambda model: "*/10 * * * *", doc=__doc__, impact="tier_2", timeout=timedelta(minutes=5))
def sweep(model: Model) -> None:
    work = waiting()
    reconcile() >> work
    wake_monitor = wake.override(task_id="wake_monitor", outlets=[model.asset("batches")])
    wake_monitor(work["unmonitored"], "Every batch is measured.")
    wake_retrain = wake.override(task_id="wake_retrain", outlets=[model.asset("requests")])
    wake_retrain(work["requests"], "No request waits.")
