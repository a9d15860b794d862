"""Back up all stores every night to `TRIMTAB_BACKUPS`, and keep the newest backups.

The DAG has no schedule where `TRIMTAB_BACKUPS` is not set.

*Triage*: A failed `back_up` leaves nothing that could be mistaken for a backup. Its log names the store that does not
answer or the object that is missing. Fix that and clear the task, or wait for the next night. "Lease held" means that
another backup, `trimtab ops gc` or `trimtab ops erase` is running, or was killed less than `trigger.lease_minutes` ago.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import CronTriggerTimetable, Param, task
from airflow.sdk.exceptions import AirflowFailException
from trimtab_models import Model, trimtab_dag

KEEP = Param(14, type="integer", minimum=1, title="Keep", description="Number of backups to keep.")


@task
def back_up(params: Any = None) -> dict[str, Any]:
    from trimtab import settings
    from trimtab.ops.backup import backup

    folder = settings.read().backups
    if folder is None:
        raise AirflowFailException("Expected a folder in TRIMTAB_BACKUPS, got none. Set it where tasks run.")
    taken = backup(folder, keep=params["keep"])
    return {"folder": str(taken.folder), "counts": taken.counts, "removed": list(taken.removed)}


def _every_night(model: Model) -> CronTriggerTimetable | None:
    """Start 20 minutes after the model before: a ledger that models share has one lease for backups."""
    hour, minute = divmod(3 * 60 + 15 + 20 * model.place, 60)
    # Otherwise a new Airflow would also take the run that was due up to 2.4 hours before: a tenth of the interval.
    return (
        CronTriggerTimetable(f"{minute} {hour % 24} * * *", timezone="UTC", run_immediately=timedelta(0))
        if model.read().backups
        else None
    )


@trimtab_dag(_every_night, doc=__doc__, impact="tier_2", timeout=timedelta(hours=4), params={"keep": KEEP})
def back_up_stores(model: Model) -> None:
    back_up()
