"""Backs all stores up to `TRIMTAB_BACKUPS`, every night where that is set, and keeps the newest so many.

*Triage*: a failed `back_up` left nothing that looks like a backup; its log says which store does not answer, or which object
is missing. Mend that and clear it, or wait for the next night. "Lease held" means that another backup, `trimtab ops gc`
or `trimtab ops erase` runs, or was killed less than `trigger.lease_minutes` ago.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, task
from airflow.sdk.exceptions import AirflowFailException
from trimtab_models import Model, models


@task
def back_up(params: Any = None) -> dict[str, Any]:
    from trimtab import settings
    from trimtab.ops.backup import backup

    folder = settings.read().backups
    if folder is None:
        raise AirflowFailException("Expected a folder in TRIMTAB_BACKUPS, got none. Set it where tasks run.")
    taken = backup(folder, keep=params["keep"])
    return {"folder": str(taken.folder), "counts": taken.counts, "removed": list(taken.removed)}


def back_up_stores(model: Model) -> None:
    # A ledger that models share has one lease for backups: the second model's begins 20 minutes later.
    hour, minute = divmod(3 * 60 + 15 + 20 * model.place, 60)
    with DAG(
        dag_id=model.dag_id("back_up_stores"),
        schedule=f"{minute} {hour % 24} * * *" if model.read().backups else None,
        catchup=False,
        max_active_runs=1,
        params={
            "keep": Param(
                14, type="integer", minimum=1, title="Keep", description="Backups that stay; older ones go."
            )
        },
        tags=["trimtab", "impact/tier_2", *model.tags],
        default_args={
            "owner": "trimtab",
            "retries": 2,
            "retry_delay": timedelta(seconds=30),
            "execution_timeout": timedelta(hours=4),
            **model.hook,
        },
        doc_md=__doc__,
    ):
        back_up()


for one in models():
    back_up_stores(one)
