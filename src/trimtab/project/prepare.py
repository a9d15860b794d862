"""`trimtab prepare`: write the rows of the planned batches to `build/`."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from trimtab import params
from trimtab.contracts import BatchRef, Manifest, from_json
from trimtab.data.batches import BATCH, conform_to_contract, labelled
from trimtab.data.schema import LABEL
from trimtab.errors import BatchRejected
from trimtab.train import row_groups
from trimtab.trigger.planning import read_run

ROWS = Path("build", "rows.parquet")
BATCHES = Path("data", "batches")


def prepare(root: Path = Path()) -> None:
    """Write the rows whose label was known at the cut-off to `build/rows.parquet`.

    A feature that a batch does not have, because it was added later, is null there. Rows with a class that is no longer
    declared are left out. Only one batch is in memory at a time, and each batch becomes a row group of the file.
    """
    plan, data = read_run(root / "run.yaml"), params.load(root / params.FILE).data
    (root / ROWS).parent.mkdir(exist_ok=True)
    paths = [_batch_file(root, ref) for ref in plan.batches]
    frames = (
        _declared(labelled(pd.read_parquet(path), plan.cutoff), ref, data).assign(**{BATCH: ref.batch})
        for ref, path in zip(plan.batches, paths, strict=True)
    )
    rows = row_groups.write(root / ROWS, _schema(plan.batches, paths, data), frames)
    print(f"{rows} labelled rows of {len(plan.batches)} batches", flush=True)


def manifest_of(root: Path, batch: str) -> Manifest:
    """Read the manifest of a batch in a checkout."""
    return from_json(Manifest, (root / BATCHES / f"{batch}.json").read_bytes())


def _declared(frame: pd.DataFrame, ref: BatchRef, data: params.Data) -> pd.DataFrame:
    declared = conform_to_contract(frame, data)
    if len(declared) < len(frame):
        others = ", ".join(sorted({*frame[LABEL].astype(str)} - {*declared[LABEL].astype(str)}))
        print(
            f"{ref.batch}: {len(frame) - len(declared)} rows left out, whose class data.label does not declare: {others}",
            flush=True,
        )
    return declared


def _schema(refs: Sequence[BatchRef], paths: Sequence[Path], data: params.Data) -> pa.Schema:
    """Return the union of the batches' columns and of the features."""
    schema = pa.schema([])
    for ref, path in zip(refs, paths, strict=True):
        try:
            batch_schema = pq.read_schema(path).remove_metadata()
            schema = pa.unify_schemas([schema, batch_schema], promote_options="permissive")
        except pa.ArrowException as error:
            reason = f"expected the column types of the batches before it, got others: {error}"
            raise BatchRejected(ref.batch, reason) from error
    for name, feature in data.features.items():
        if name not in schema.names:
            schema = schema.append(
                pa.field(name, pa.string() if isinstance(feature, params.Category) else pa.float64())
            )
    return schema.append(pa.field(BATCH, pa.string()))


def _batch_file(root: Path, ref: BatchRef) -> Path:
    revision = manifest_of(root, ref.batch).revision
    if revision != ref.revision:
        reason = f"expected revision {ref.revision} as in run.yaml, got {revision} in this checkout"
        raise BatchRejected(ref.batch, reason)
    parquet = root / BATCHES / f"{ref.batch}.parquet"
    if not parquet.is_file():
        raise BatchRejected(
            ref.batch, f"expected {parquet}, got no such file. Run `dvc pull` in this checkout"
        )
    return parquet
