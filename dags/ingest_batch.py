"""Takes landed batches into the versioned data, or into quarantine with the reason.

*Triage*: a skipped `announce` means that nothing new came in, and is healthy. A quarantined batch is no failure: see
`trimtab batch quarantine list`. A failed `ingest` left the landed files where they are and nothing half done: repair what
its log names, then clear it. The other batches of that run are in; `sweep` announces them when `announce` did not.
"""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param, task
from airflow.sdk.exceptions import AirflowSkipException
from trimtab_models import Model, models

BATCH = Param(
    None,
    type=["null", "string"],
    title="Batch",
    description="Id of one landed batch; all that landed when left empty.",
)


@task
def list_landed(params: Any = None) -> list[str]:
    from trimtab.loop.ingest import list_landed

    wanted = params["batch"]
    return [wanted] if wanted else list_landed()


@task(max_active_tis_per_dagrun=2, map_index_template="{{ task.op_kwargs['batch'] }}")
def ingest(batch: str) -> dict[str, Any]:
    from trimtab.loop.ingest import ingest

    return ingest(batch)


@task
def announce(summaries: list[dict[str, Any]]) -> None:
    if not any(summary["outcome"] == "ingested" for summary in summaries):
        raise AirflowSkipException("Nothing new came in.")


def ingest_batch(model: Model) -> None:
    with DAG(
        dag_id=model.dag_id("ingest_batch"),
        schedule="*/10 * * * *",
        catchup=False,
        max_active_runs=4,
        params={"batch": BATCH},
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
        announce.override(outlets=[model.asset("batches")])(ingest.expand(batch=list_landed()))


for one in models():
    ingest_batch(one)
