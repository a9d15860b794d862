"""Retrain when the arbiter decides so, and promote the new model only if it passes the gate.

*Triage*: A skipped run means that the arbiter answered SKIP or WAIT; the log of `arbitrate` gives the reason. If a task
fails, the serving model stays as it was. After the last retry, `close` ends the run and gives its lease back; its request
waits again, and the next run of this DAG answers it. To try again at once, clear the failed run from `arbitrate`, which
makes a new plan at the newest commit of the origin. `wait_for_answer` is skipped unless `gate.ask` asks a person; then it
waits for the answer in the Airflow UI and finally takes `gate.ask_default`. A model that does not pass the gate is no
failure.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, Param, chain, task
from airflow.sdk.exceptions import AirflowFailException
from trimtab_models import Model, here, trimtab_dag
from trimtab_operators import AskPersonOperator

SOURCES = {"manual": "ui", "scheduled": "schedule"}  # an event woke any other run: it answers what waits
FORM = {
    "reason": Param(
        "", type="string", title="Reason", description="Why retrain now? Stored with the decision."
    ),
    "window_batches": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        title="Training window",
        description="Number of newest batches to train on. Leave empty for train.window_batches of params.yaml.",
    ),
    "force": Param(
        False,
        type="boolean",
        title="Force",
        description="Ignore the cooldown. The gate still judges the model.",
    ),
    "dry_run": Param(
        False,
        type="boolean",
        title="Dry run",
        description="Train and judge, but register and promote nothing.",
    ),
}


@task.short_circuit
def arbitrate(holder: str, dag_run: Any = None, params: Any = None) -> str | None:
    from trimtab.loop.arbitrate import arbitrate

    source, form = SOURCES.get(dag_run.run_type), {name: params[name] for name in FORM}
    if source == "ui" and not form["reason"].strip():
        raise AirflowFailException(
            "Expected a reason, got none. Trigger the DAG again and enter a reason in the form."
        )
    return arbitrate(holder, source, **form)


@task
def step(name: str, run_key: str, holder: str) -> dict[str, Any]:
    from trimtab.loop import retrain

    return getattr(retrain, name)(run_key, holder)


@task
def ask(run_key: str, holder: str) -> dict[str, Any] | None:
    from trimtab.loop.conclude import ask

    return ask(run_key, holder)


@task(trigger_rule="none_failed")
def conclude(
    run_key: str, holder: str, answer: str | None = None, outlet_events: Any = None
) -> dict[str, Any]:
    from trimtab.loop.conclude import conclude

    outlet_events[here().asset("champion")].extra = outcome = conclude(run_key, holder, answer)
    return outcome


@task
def close(holder: str) -> str | None:
    from trimtab.loop.retrain import close

    return close(holder)


@trimtab_dag(
    lambda model: AssetOrTimeSchedule(
        # Otherwise a new Airflow would also take the run that was due up to 16.8 hours before: a tenth of the interval.
        timetable=CronTriggerTimetable("0 6 * * MON", timezone="UTC", run_immediately=timedelta(0)),
        assets=[model.asset("requests")],
    ),
    doc=__doc__,
    impact="tier_1",
    max_active_runs=4,
    params=FORM,
)
def retrain_model(model: Model) -> None:
    template, holder = model.read().training_pod_template, "{{ run_id }}"
    # Executors without pods ignore the template.
    pod = {"executor_config": {"pod_template_file": template} if template else {}}
    options = {
        "checkout": {},
        "prepare": {},
        "train": {"execution_timeout": timedelta(hours=4), **pod},
        "evaluate": {"execution_timeout": timedelta(hours=1)},
        "refit": {"execution_timeout": timedelta(hours=4), **pod},
    }
    judged = conclude.override(outlets=[model.asset("champion")])
    run_key = arbitrate(holder)
    steps = [step.override(task_id=name, **of)(name, run_key, holder) for name, of in options.items()]
    question = ask(run_key, holder)
    answer = AskPersonOperator(task_id="wait_for_answer", question=question, options=["promote", "keep"])
    chain(*steps, question, answer, judged(run_key, holder, answer.output), close(holder).as_teardown())
