"""Answer the requests that wait: deploy the newest model, go back to the former one, or leave the champion.

*Triage*: A skipped run means that the arbiter answered SKIP or WAIT; the log of `arbitrate` gives the reason. If a task
fails, the serving model stays as it was. After the last retry, `close` ends the run and gives its lease back; its request
waits again, and the next run of this DAG answers it. To try again at once, clear the failed run from `arbitrate`, which
answers again at the newest commit of the origin. `fit` has nothing to do unless a person chose a training window.
`wait_for_answer` is skipped unless a person is asked; then it waits for the answer in the Airflow UI and finally takes
`gate.ask_default`. A model that the guard does not let pass is no failure.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable, Param, chain, task
from airflow.sdk.exceptions import AirflowFailException
from trimtab_models import Model, here, trimtab_dag
from trimtab_operators import AskPersonOperator

SOURCES = {"manual": "ui", "scheduled": "schedule"}  # an event woke any other run: it answers what waits
FORM = {
    "reason": Param("", type="string", title="Reason", description="Why now? Stored with the decision."),
    "window_batches": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        title="Training window",
        description="Deploy a model of this number of newest batches, if it proves to be better than the leading one. "
        "Leave empty for the leading one.",
    ),
    "force": Param(
        False,
        type="boolean",
        title="Force",
        description="Ignore the budget of deployments. The guard still judges the model.",
    ),
    "dry_run": Param(
        False,
        type="boolean",
        title="Dry run",
        description="Decide, but register and deploy nothing.",
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
def fit(run_key: str, holder: str) -> dict[str, Any]:
    from trimtab.loop.retrain import fit

    return fit(run_key, holder)


@task
def ask(run_key: str, holder: str) -> dict[str, Any] | None:
    from trimtab.loop.retrain import ask

    return ask(run_key, holder)


@task(trigger_rule="none_failed")
def deploy(run_key: str, holder: str, answer: str | None = None, outlet_events: Any = None) -> dict[str, Any]:
    from trimtab.loop.retrain import deploy

    outlet_events[here().asset("champion")].extra = outcome = deploy(run_key, holder, answer)
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
    pod = {"executor_config": {"pod_template_file": template}} if template else {}
    deployed = deploy.override(outlets=[model.asset("champion")])
    run_key = arbitrate(holder)
    fitted = fit.override(execution_timeout=timedelta(hours=4), **pod)(run_key, holder)
    question = ask(run_key, holder)
    answer = AskPersonOperator(task_id="wait_for_answer", question=question, options=["promote", "keep"])
    chain(fitted, question, answer, deployed(run_key, holder, answer.output), close(holder).as_teardown())
