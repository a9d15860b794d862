"""Return to a version that was in Production before, on a person's order. The watch requests the same by itself.

*Triage*: A failed `rollback` changed nothing. Its log says what is missing: end a pin, unblock a version, or restore an
artifact. If it was killed halfway, `reconcile` finishes it: clear either task.
"""

from typing import Any

from airflow.sdk import Param, task
from airflow.sdk.exceptions import AirflowFailException
from trimtab_models import Model, trimtab_dag
from trimtab_operators import reconcile

FORM = {
    "version": Param(
        None,
        type=["null", "string"],
        pattern="^[0-9]+$",
        title="Version",
        description="A version that was in Production before. Leave empty for the champion's predecessor.",
    ),
    "reason": Param(
        "", type="string", title="Reason", description="Why roll back? Stored with the transition."
    ),
}


@task
def rollback(dag_run: Any = None, params: Any = None) -> str:
    from trimtab.errors import OrderRefused
    from trimtab.loop.orders import rollback

    who = getattr(dag_run, "triggering_user_name", None) or "somebody in the Airflow UI"
    try:
        return rollback(params["version"], actor=who, reason=params["reason"], key=dag_run.run_id)
    except OrderRefused as error:
        raise AirflowFailException(str(error)) from error


@trimtab_dag(lambda model: None, doc=__doc__, impact="tier_1", params=FORM)
def rollback_model(model: Model) -> None:
    reconcile() >> rollback.override(outlets=[model.asset("champion")])()
