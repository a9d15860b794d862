"""Erases rows from MLflow's artifacts: samples and examples hold features, though no row ids."""

from collections.abc import Collection, Iterator, Sequence

import fsspec
import pandas as pd
from sqlalchemy import select

from trimtab.loop.loop import Loop
from trimtab.ops import sql_dump
from trimtab.ops.erasure import rowfiles
from trimtab.ops.mlflow_places import mlflow_places

_FILES = ("reference.parquet", "example.json", "input_example.json", "serving_input_example.json")


def look(loop: Loop, held: Sequence[pd.DataFrame]) -> list[str]:
    """Return the files that hold the features of one of the rows."""
    return [name for name, _ in _changed(loop, held)]


def erase(loop: Loop, held: Sequence[pd.DataFrame]) -> list[str]:
    """Take rows with the same features out of samples and examples; return the files that were changed."""
    done = []
    for name, left in _changed(loop, held):
        fs, path = fsspec.core.url_to_fs(name)
        fs.pipe_file(path, left)
        done.append(name)
    return done


def _changed(loop: Loop, held: Sequence[pd.DataFrame]) -> Iterator[tuple[str, bytes]]:
    features = list(loop.params.data.features)
    wanted = frozenset[rowfiles.Key]().union(*(rowfiles.keys(one, features) for one in held))
    if not wanted:
        return
    for name, content in _files(loop):
        left = rowfiles.without_features(name, content, wanted, features)
        if left is not None:
            yield name, left


def _files(loop: Loop) -> Iterator[tuple[str, bytes]]:
    for location in {*_locations(loop), str(loop.stores.home / "models")}:
        fs, root = fsspec.core.url_to_fs(location)
        if not fs.exists(root):
            continue
        for name in fs.find(root):
            if str(name).rpartition("/")[2] in _FILES:
                yield fs.unstrip_protocol(str(name)), fs.cat_file(name)


def _locations(loop: Loop) -> Collection[str]:
    places = mlflow_places(loop.stores)
    with sql_dump.snapshot(places.database) as connection:
        (table,) = sql_dump.tables(connection, ("experiments",))
        found = connection.execute(select(table.c.artifact_location)).scalars()
        return [places.artifacts_at(one) for one in found]
