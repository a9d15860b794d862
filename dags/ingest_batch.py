"""Ingest landed batches into the versioned data, or move them to quarantine with the reason.

*Triage*: A skipped `announce` means that nothing new arrived, and is healthy. A quarantined batch is no failure: see
`trimtab batch quarantine list`. A failed `ingest` leaves the landed files in place and changes nothing else: fix what
its log names, then clear it. The other batches of the run are ingested. If `announce` did not run, `sweep` announces
them.
"""

from typing import Any

from airflow.sdk import Param, task
from airflow.sdk.exceptions import AirflowSkipException
from trimtab_models import Model, trimtab_dag

BATCH = Param(
    None,
    type=["null", "string"],
    title="Batch",
    description="Id of one landed batch. Leave empty to ingest all landed batches.",
)


@task
def list_landed(params: Any = None) -> list[str]:
    from trimtab.loop.ingest import list_landed

    batch = params["batch"]
    return [batch] if batch else list_landed()


@task(max_active_tis_per_dagrun=2, map_index_template="{{ task.op_kwargs['batch'] }}")
def ingest(batch: str) -> dict[str, Any]:
    from trimtab.loop.ingest import ingest

    return ingest(batch)


@task
def announce(summaries: list[dict[str, Any]]) -> None:
    if not any(summary["outcome"] == "ingested" for summary in summaries):
        raise AirflowSkipException("Nothing new arrived.")


@trimtab_dag(
    lambda model: "*/10 * * * *", doc=__doc__, impact="tier_1", max_active_runs=4, params={"batch": BATCH}
)
def ingest_batch(model: Model) -> None:
    announce.override(outlets=[model.asset("batches")])(ingest.expand(batch=list_landed()))
