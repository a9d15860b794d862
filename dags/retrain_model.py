"""Retrains when the arbiter says so, and promotes the new model only when it passes the gate.

*Triage*: a skipped run means that the arbiter answered SKIP or WAIT; the log of `arbitrate` says why. A failure of any
task leaves the serving model as it was, and clearing the task goes on from there: `checkout`, `prepare`, `train` and
`evaluate` write under the run's own folder only, `conclude` finishes a transition that it began. The lease of a run that is
given up ends by itself after `trigger.lease_minutes`. `wait_for_answer` is skipped unless `gate.ask` wants a person: then it
waits on Airflow's page, and takes `gate.ask_default` in the end. A retrained model that did not pass the gate is no failure.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable, Param, chain, task
from airflow.sdk.exceptions import AirflowFailException
from trimtab_models import Model, here, models
from trimtab_operators import AskPersonOperator

SOURCES = {"manual": "ui", "scheduled": "schedule"}  # any other run was woken: it answers what waits
FORM = {
    "reason": Param(
        "", type="string", title="Reason", description="Why retrain now? Kept with the decision."
    ),
    "window_batches": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        title="Training window",
        description="Newest batches to train on; train.window_batches of params.yaml when left empty.",
    ),
    "force": Param(
        False,
        type="boolean",
        title="Force",
        description="Go on in spite of a cooldown. The gate still judges.",
    ),
    "dry_run": Param(
        False, type="boolean", title="Dry run", description="Train and judge, but register and move nothing."
    ),
}


@task.short_circuit
def arbitrate(holder: str, dag_run: Any = None, params: Any = None) -> str | None:
    from trimtab.loop.arbitrate import arbitrate

    source, form = SOURCES.get(dag_run.run_type), {name: params[name] for name in FORM}
    if source == "ui" and not form["reason"].strip():
        raise AirflowFailException(
            "Expected a reason, got none. Trigger the DAG again, and say why in the form."
        )
    return arbitrate(holder, source, **form)


@task
def checkout(run_key: str, holder: str) -> dict[str, Any]:
    from trimtab.loop.retrain import checkout

    return checkout(run_key, holder)


@task
def prepare(run_key: str, holder: str) -> dict[str, Any]:
    from trimtab.loop.retrain import prepare

    return prepare(run_key, holder)


@task(execution_timeout=timedelta(hours=4))
def train(run_key: str, holder: str) -> dict[str, Any]:
    from trimtab.loop.retrain import train

    return train(run_key, holder)


@task(execution_timeout=timedelta(hours=1))
def evaluate(run_key: str, holder: str) -> dict[str, Any]:
    from trimtab.loop.retrain import evaluate

    return evaluate(run_key, holder)


@task(execution_timeout=timedelta(hours=4))
def refit(run_key: str, holder: str) -> dict[str, Any]:
    from trimtab.loop.retrain import refit

    return refit(run_key, holder)


@task
def ask(run_key: str, holder: str) -> dict[str, Any] | None:
    from trimtab.loop.ask import ask

    return ask(run_key, holder)


@task(trigger_rule="none_failed")
def conclude(
    run_key: str, holder: str, answer: str | None = None, outlet_events: Any = None
) -> dict[str, Any]:
    from trimtab.loop.conclude import conclude

    outlet_events[here().asset("champion")].extra = outcome = conclude(run_key, holder, answer)
    return outcome


def retrain_model(model: Model) -> None:
    with DAG(
        dag_id=model.dag_id("retrain_model"),
        schedule=AssetOrTimeSchedule(
            timetable=CronTriggerTimetable("0 6 * * MON", timezone="UTC"), assets=[model.asset("requests")]
        ),
        catchup=False,
        max_active_runs=4,
        params=FORM,
        tags=["trimtab", "impact/tier_1", *model.tags],
        default_args={
            "owner": "trimtab",
            "retries": 2,
            "retry_delay": timedelta(seconds=30),
            "execution_timeout": timedelta(minutes=15),
            **model.hook,
        },
        doc_md=__doc__,
    ):
        # A pod of their own for `train` and `refit`, where tasks are pods; any other executor passes it by.
        template, holder = model.read().training_pod_template, "{{ run_id }}"
        pod = {"executor_config": {"pod_template_file": template} if template else {}}
        judged = conclude.override(outlets=[model.asset("champion")])
        run_key = arbitrate(holder)
        steps = [
            step(run_key, holder)
            for step in (checkout, prepare, train.override(**pod), evaluate, refit.override(**pod))
        ]
        question = ask(run_key, holder)
        answer = AskPersonOperator(task_id="wait_for_answer", question=question, options=["promote", "keep"])
        chain(*steps, question, answer, judged(run_key, holder, answer.output))


for one in models():
    retrain_model(one)
