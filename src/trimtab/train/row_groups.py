"""Labelled rows of many batches in one file, a row group for each batch, so that they can be read a batch at a time."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from trimtab.data.batches import BATCH
from trimtab.errors import Unfit


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one batch: a row group of a parquet file."""

    path: Path
    group: int
    batch: str
    rows: int

    def read(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the rows, all columns when none are named."""
        table = pq.ParquetFile(self.path).read_row_group(self.group, columns=columns)
        return table.to_pandas()  # type: ignore[no-any-return]  # pyarrow has no types


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of batches, oldest first; none is read before it is asked for."""

    parts: tuple[Part, ...]

    def __len__(self) -> int:
        return sum(part.rows for part in self.parts)

    def frame(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return all rows at once."""
        return pd.concat([part.read(columns) for part in self.parts], ignore_index=True)

    def of(self, batches: Collection[str]) -> "Rows":
        """Return the rows of these batches."""
        return Rows(tuple(part for part in self.parts if part.batch in batches))

    def sample(self, number: int, seed: int) -> pd.DataFrame:
        """Return so many rows, or all, as `DataFrame.sample` of all of them would, holding one batch at a time."""
        count = len(self)
        chosen = np.random.RandomState(seed).choice(count, size=min(count, number), replace=False)
        found, first = [], 0
        for part in self.parts:
            places = np.flatnonzero((chosen >= first) & (chosen < first + part.rows))
            found.append(part.read().iloc[chosen[places] - first].set_axis(places))
            first += part.rows
        return pd.concat(found).sort_index().reset_index(drop=True)


def read(*paths: Path) -> Rows:
    """Return the rows of files that `write` wrote, one file after the other.

    Raises:
        Unfit: A row group holds several batches.
    """
    return Rows(tuple(part for path in paths for part in _parts(path.resolve())))


def write(path: Path, schema: pa.Schema, frames: Iterable[pd.DataFrame]) -> int:
    """Write the rows of one batch after another; returns how many. A column of `schema` that a frame lacks is null."""
    rows = 0
    with pq.ParquetWriter(path, schema) as file:
        for frame in frames:
            table = pa.Table.from_pandas(frame, preserve_index=False)
            if len(table):
                file.write_table(
                    pa.concat_tables([schema.empty_table(), table], promote_options="permissive"),
                    row_group_size=len(table),
                )
            rows += len(table)
    return rows


def _parts(path: Path) -> list[Part]:
    found, column = [], pq.read_schema(path).names.index(BATCH)
    metadata = pq.read_metadata(path)
    for group in range(metadata.num_row_groups):
        about = metadata.row_group(group)
        batches = about.column(column).statistics
        if batches.min != batches.max:
            what = f"{path} holds batches {batches.min} to {batches.max} in row group {group}, expected one"
            raise Unfit(what, "Make it again with `trimtab prepare`")
        found.append(Part(path, group, batches.min, about.num_rows))
    return found
