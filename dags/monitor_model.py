"""Measure each new batch, fit the candidates through it, and request a deployment or a rollback when the policy asks for it.

*Triage*: A skipped `measure` or `observe` means that every batch is measured, and a skipped `wake` that no request waits.
All are healthy. A failed `measure` names the batches that it left unmeasured, and measured the others: clear it, or wait for
the next run. A failed `observe` leaves out the data drift of its batch. `assess` and `reconcile` are always safe to clear.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, task
from trimtab_models import Model, trimtab_dag
from trimtab_operators import fail_if_one_failed, reconcile, wake


@task.short_circuit(ignore_downstream_trigger_rules=False)
def find_unmeasured(holder: str) -> list[dict[str, Any]]:
    from trimtab.loop.measure import find_unmeasured

    return find_unmeasured(holder)


# One task for all, because each batch is scored with the models that were fitted through the batch before it.
@task
def measure(batches: list[dict[str, Any]], holder: str) -> list[dict[str, Any]]:
    from trimtab.loop.measure import measure

    return measure(batches, holder)


@task(trigger_rule="all_done")
def assess(holder: str) -> int:
    from trimtab.loop.monitor import assess

    return assess(holder)


@task
def find_unobserved() -> list[dict[str, Any]]:
    from trimtab.loop.monitor import find_unobserved

    return find_unobserved()


@task(map_index_template="{{ task.op_kwargs['batch'] }}")
def observe(batch: str, revision: int, champion: str, commit: str) -> dict[str, Any]:
    from trimtab.loop.monitor import observe

    return observe(batch, revision, champion, commit)


@trimtab_dag(
    lambda model: AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("0 * * * *", timezone="UTC"), assets=[model.asset("batches")]
    ),
    doc=__doc__,
    impact="tier_1",
    max_active_runs=4,
)
def monitor_model(model: Model) -> None:
    template = model.read().training_pod_template
    # Executors without pods ignore the template.
    pod = {"executor_config": {"pod_template_file": template}} if template else {}
    holder = "{{ run_id }}"
    unmeasured, unobserved, assessed = find_unmeasured(holder), find_unobserved(), assess(holder)
    reconcile() >> [unmeasured, unobserved]
    done = [
        measure.override(execution_timeout=timedelta(hours=4), **pod)(unmeasured, holder),
        observe.expand_kwargs(unobserved),
    ]
    done >> assessed
    done >> fail_if_one_failed()
    wake.override(outlets=[model.asset("requests")])(assessed, "No request waits.")
