"""Erase rows from MLflow's artifacts: samples and examples contain features, but no row ids."""

from collections.abc import Iterator, Sequence

import fsspec
import pandas as pd
from sqlalchemy import select

from trimtab.loop.loop import Loop
from trimtab.ops import sql_dump
from trimtab.ops.erasure import rowfiles
from trimtab.ops.mlflow_places import mlflow_places

_FILES = ("reference.parquet", "example.json", "input_example.json", "serving_input_example.json")


def erase(loop: Loop, rows: Sequence[pd.DataFrame]) -> None:
    """Remove rows with the same features from samples and examples."""
    for name, content in changes(loop, rows):
        fs, path = fsspec.core.url_to_fs(name)
        fs.pipe_file(path, content)


def changes(loop: Loop, rows: Sequence[pd.DataFrame]) -> Iterator[tuple[str, bytes]]:
    """Yield each file that contains the features of one of the rows, and its content without them."""
    features = list(loop.params.data.features)
    erased = frozenset[rowfiles.Key]().union(*(rowfiles.keys(frame, features) for frame in rows))
    for name, content in _files(loop) if erased else ():
        left = rowfiles.without_features(name, content, erased, features)
        if left is not None:
            yield name, left


def _files(loop: Loop) -> Iterator[tuple[str, bytes]]:
    places = mlflow_places(loop.stores)
    with sql_dump.transaction(places.database) as connection:
        (table,) = sql_dump.tables(connection, ("experiments",))
        locations = set(connection.execute(select(table.c.artifact_location)).scalars())
    for location in {*map(places.artifacts_at, locations), str(loop.stores.home / "models")}:
        fs, root = fsspec.core.url_to_fs(location)
        for name in fs.find(root):
            if name.rpartition("/")[2] in _FILES:
                yield fs.unstrip_protocol(name), fs.cat_file(name)
