"""Backs all stores up to `TRIMTAB_BACKUPS`, every night where that is set, and keeps the newest so many.

*Triage*: a failed `back_up` left nothing that looks like a backup; its log says which store does not answer, or which object
is missing. Mend that and clear it, or wait for the next night. "Lease held" means that another backup or `trimtab gc` runs,
or was killed less than `trigger.lease_minutes` ago.
"""

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag, task
from airflow.sdk.exceptions import AirflowFailException

BACKUPS = os.environ.get("TRIMTAB_BACKUPS")


@task
def back_up(params: Any = None) -> dict[str, Any]:
    from pathlib import Path

    from trimtab.keep.backup import backup

    if not BACKUPS:
        raise AirflowFailException("Expected a folder in TRIMTAB_BACKUPS, got none. Set it where tasks run.")
    taken = backup(Path(BACKUPS), keep=params["keep"])
    return {"folder": str(taken.folder), "counts": taken.counts, "removed": list(taken.removed)}


@dag(
    schedule="15 3 * * *" if BACKUPS else None,
    catchup=False,
    max_active_runs=1,
    params={
        "keep": Param(
            14, type="integer", minimum=1, title="Keep", description="Backups that stay; older ones go."
        )
    },
    tags=["trimtab", "impact/tier_2"],
    default_args={
        "owner": "trimtab",
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "execution_timeout": timedelta(hours=4),
    },
    doc_md=__doc__,
)
def back_up_stores() -> None:
    back_up()


back_up_stores()
