"""`trimtab prepare`: collect the planned rows in `build/`."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from trimtab.contracts import BatchRef, Manifest, from_json
from trimtab.data.batches import BATCH, labelled
from trimtab.errors import BatchRejected
from trimtab.trigger.planning import read_run


def prepare(root: Path = Path()) -> None:
    """Write `build/train.parquet` and `build/judge.parquet`: planned batches, labels known by the cut-off only."""
    plan = read_run(root / "run.yaml")
    build = root / "build"
    build.mkdir(exist_ok=True)
    for name, refs in (("train", plan.train), ("judge", plan.judge)):
        rows = labelled(_collect(root, refs), plan.cutoff)
        rows.to_parquet(build / f"{name}.parquet", index=False)
        print(f"{name}: {len(rows)} labelled rows of {len(refs)} batches", flush=True)


def _collect(root: Path, refs: Sequence[BatchRef]) -> pd.DataFrame:
    frames = []
    for ref in refs:
        path = root / "data" / "batches" / ref.batch
        manifest = from_json(Manifest, path.with_name(f"{ref.batch}.json").read_bytes())
        if manifest.revision != ref.revision:
            raise BatchRejected(
                ref.batch, f"run.yaml wants revision {ref.revision}, this checkout holds {manifest.revision}"
            )
        data = path.with_name(f"{ref.batch}.parquet")
        if not data.is_file():
            raise BatchRejected(
                ref.batch, f"expected {data}, got no such file. Run `dvc pull` in this checkout"
            )
        frames.append(pd.read_parquet(data).assign(**{BATCH: ref.batch}))
    return pd.concat(frames, ignore_index=True)
