"""Measure each new batch with the champion, and request a retraining when a rule in `params.yaml` asks for it.

*Triage*: A skipped `measure` means that every batch is measured, and a skipped `wake` that no request waits. Both are
healthy. A failed `measure` leaves its batch unmeasured: clear it, or wait for the next run. A failed `assess` is safe to
clear, because a measurement leads to one request at most. `reconcile` repairs the registry and is always safe to clear.
"""

from typing import Any

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, task
from trimtab_models import Model, trimtab_dag
from trimtab_operators import reconcile, wake


@task
def find_unmonitored() -> list[dict[str, Any]]:
    from trimtab.loop.monitor import find_unmonitored

    return find_unmonitored()


@task(map_index_template="{{ task.op_kwargs['item']['batch'] }}")
def measure(item: dict[str, Any]) -> dict[str, Any]:
    from trimtab.loop.measure import measure

    return measure(item)


@task(trigger_rule="none_failed")
def assess() -> int:
    from trimtab.loop.monitor import assess

    return assess()


@trimtab_dag(
    lambda model: AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("0 * * * *", timezone="UTC"), assets=[model.asset("batches")]
    ),
    doc=__doc__,
    impact="tier_1",
    max_active_runs=4,
)
def monitor_model(model: Model) -> None:
    unmonitored, assessed = find_unmonitored(), assess()
    reconcile() >> unmonitored
    measure.expand(item=unmonitored) >> assessed
    wake.override(outlets=[model.asset("requests")])(assessed, "No request waits.")
