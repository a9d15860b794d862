"""`trimtab prepare`: write the rows of the planned batches to `build/`."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from trimtab.contracts import BatchRef, Manifest, from_json
from trimtab.data.batches import BATCH, labelled
from trimtab.errors import BatchRejected
from trimtab.train import row_groups
from trimtab.trigger.planning import read_run


def prepare(root: Path = Path()) -> None:
    """Write the rows whose label was known at the cut-off to `build/train.parquet` and `build/judge.parquet`.

    Only one batch is in memory at a time, and each batch becomes a row group of its file.
    """
    plan = read_run(root / "run.yaml")
    build = root / "build"
    build.mkdir(exist_ok=True)
    for name, refs in (("train", plan.train), ("judge", plan.judge)):
        paths = [_batch_file(root, ref) for ref in refs]
        frames = (
            labelled(pd.read_parquet(path), plan.cutoff).assign(**{BATCH: ref.batch})
            for ref, path in zip(refs, paths, strict=True)
        )
        rows = row_groups.write(build / f"{name}.parquet", _schema(refs, paths), frames)
        print(f"{name}: {rows} labelled rows of {len(refs)} batches", flush=True)


def _schema(refs: Sequence[BatchRef], paths: Sequence[Path]) -> pa.Schema:
    """Return the union of the batches' columns, so that a feature can be null in the batches before it was added."""
    schema = pa.schema([])
    for ref, path in zip(refs, paths, strict=True):
        try:
            batch_schema = pq.read_schema(path).remove_metadata()
            schema = pa.unify_schemas([schema, batch_schema], promote_options="permissive")
        except pa.ArrowException as error:
            reason = f"expected the column types of the batches before it, got others: {error}"
            raise BatchRejected(ref.batch, reason) from error
    return schema.append(pa.field(BATCH, pa.string()))


def _batch_file(root: Path, ref: BatchRef) -> Path:
    batches = root / "data" / "batches"
    manifest = from_json(Manifest, (batches / f"{ref.batch}.json").read_bytes())
    if manifest.revision != ref.revision:
        reason = f"expected revision {ref.revision} as in run.yaml, got {manifest.revision} in this checkout"
        raise BatchRejected(ref.batch, reason)
    parquet = batches / f"{ref.batch}.parquet"
    if not parquet.is_file():
        raise BatchRejected(
            ref.batch, f"expected {parquet}, got no such file. Run `dvc pull` in this checkout"
        )
    return parquet
