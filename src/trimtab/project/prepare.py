"""`trimtab prepare`: collect the planned rows in `build/`."""

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
    """Write `build/train.parquet` and `build/judge.parquet`: planned batches, labels known by the cut-off only.

    One batch is in memory at a time, and is a row group of the file.
    """
    plan = read_run(root / "run.yaml")
    build = root / "build"
    build.mkdir(exist_ok=True)
    for name, refs in (("train", plan.train), ("judge", plan.judge)):
        paths = [_data(root, ref) for ref in refs]
        frames = (
            labelled(pd.read_parquet(path), plan.cutoff).assign(**{BATCH: ref.batch})
            for ref, path in zip(refs, paths, strict=True)
        )
        written = row_groups.write(build / f"{name}.parquet", _schema(refs, paths), frames)
        print(f"{name}: {written} labelled rows of {len(refs)} batches", flush=True)


def _schema(refs: Sequence[BatchRef], paths: Sequence[Path]) -> pa.Schema:
    """Return the columns of all batches: a feature that `params.yaml` gained later is null in those before it."""
    found = pa.schema([])
    for ref, path in zip(refs, paths, strict=True):
        try:
            own = pq.read_schema(path).remove_metadata()
            found = pa.unify_schemas([found, own], promote_options="permissive")
        except pa.ArrowException as error:
            reason = f"expected the types of the batches before it, got another: {error}"
            raise BatchRejected(ref.batch, reason) from error
    return found.append(pa.field(BATCH, pa.string()))


def _data(root: Path, ref: BatchRef) -> Path:
    path = root / "data" / "batches" / ref.batch
    manifest = from_json(Manifest, path.with_name(f"{ref.batch}.json").read_bytes())
    if manifest.revision != ref.revision:
        raise BatchRejected(
            ref.batch, f"run.yaml wants revision {ref.revision}, this checkout holds {manifest.revision}"
        )
    data = path.with_name(f"{ref.batch}.parquet")
    if not data.is_file():
        raise BatchRejected(ref.batch, f"expected {data}, got no such file. Run `dvc pull` in this checkout")
    return data
