"""Goes back to a version that was in Production before, by a person's order; the watch rule does the same by itself.

*Triage*: a failed `rollback` changed nothing, and its log says what was expected: a pin ended, a version unblocked, an
artifact brought back. Killed in the middle, `reconcile` finishes it: clear either task.
"""

from typing import Any

from airflow.sdk import Param, task
from airflow.sdk.exceptions import AirflowFailException
from trimtab_models import Model, trimtab_dag

FORM = {
    "version": Param(
        None,
        type=["null", "string"],
        pattern="^[0-9]+$",
        title="Version",
        description="Any version that was in Production; the one before the champion when left empty.",
    ),
    "reason": Param("", type="string", title="Reason", description="Why go back? Kept with the transition."),
}


@task
def reconcile() -> dict[str, Any]:
    from trimtab.loop.reconcile import reconcile

    return reconcile()


@task
def rollback(dag_run: Any = None, params: Any = None) -> str:
    from trimtab.errors import OrderRefused
    from trimtab.loop.orders import rollback

    who = getattr(dag_run, "triggering_user_name", None) or "somebody on Airflow's page"
    try:
        return rollback(params["version"], actor=who, reason=params["reason"], key=dag_run.run_id)
    except OrderRefused as error:
        raise AirflowFailException(str(error)) from error


@trimtab_dag(
    lambda model: None,
    doc=__doc__,
    impact="tier_1",
    params=FORM,
)
def rollback_model(model: Model) -> None:
    reconcile() >> rollback.override(outlets=[model.asset("champion")])()
