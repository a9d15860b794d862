"""Keeps the labelled rows of many batches in one Parquet file, one row group a batch, and reads one batch at a time."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from trimtab.data.batches import BATCH, labelled
from trimtab.data.schema import KNOWN_AT, LABEL
from trimtab.errors import Unfit


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one batch, which are one row group of a Parquet file."""

    path: Path
    group: int
    batch: str
    rows: int
    cutoff: datetime | None = None

    def read(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Read the rows, with all columns unless some are named."""
        if self.cutoff is None:
            return self._read(columns)
        if columns is None:
            return labelled(self._read(None), self.cutoff)
        return labelled(self._read([*{*columns, LABEL, KNOWN_AT}]), self.cutoff)[[*columns]]

    def known_at(self, cutoff: datetime) -> "Part":
        """Return the rows whose label was known at `cutoff`; the others are left out on each read."""
        part = replace(self, cutoff=cutoff)
        rows = len(part.read([LABEL]))
        return self if rows == self.rows else replace(part, rows=rows)

    def _read(self, columns: Sequence[str] | None) -> pd.DataFrame:
        table = pq.ParquetFile(self.path).read_row_group(self.group, columns=columns)
        return table.to_pandas()  # type: ignore[no-any-return]  # pyarrow has no types


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of several batches, oldest first, which are read on demand."""

    parts: tuple[Part, ...]

    def __len__(self) -> int:
        return sum(part.rows for part in self.parts)

    def frame(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Read all rows into one frame, with all columns unless some are named."""
        return pd.concat([part.read(columns) for part in self.parts], ignore_index=True)

    def known_at(self, cutoff: datetime) -> "Rows":
        """Return the rows whose label was known at `cutoff`; a batch without such a row is left out."""
        parts = (part.known_at(cutoff) for part in self.parts)
        return Rows(tuple(part for part in parts if part.rows))

    def select(self, batches: Collection[str]) -> "Rows":
        """Return the rows of the given batches."""
        return Rows(tuple(part for part in self.parts if part.batch in batches))

    def sample(self, size: int, seed: int) -> pd.DataFrame:
        """Draw `size` rows, or all if there are fewer, with one batch in memory at a time.

        The result equals `DataFrame.sample` on all rows with the same seed.
        """
        total = len(self)
        drawn = np.random.RandomState(seed).choice(total, size=min(total, size), replace=False)
        samples, offset = [], 0
        for part in self.parts:
            positions = np.flatnonzero((drawn >= offset) & (drawn < offset + part.rows))
            samples.append(part.read().iloc[drawn[positions] - offset].set_axis(positions))
            offset += part.rows
        return pd.concat(samples).sort_index().reset_index(drop=True)


def read(*paths: Path) -> Rows:
    """Return the rows of files that `write` wrote, in the order of the files.

    Raises:
        Unfit: A row group holds rows of several batches.
    """
    return Rows(tuple(part for path in paths for part in _parts(path.resolve())))


def write(path: Path, schema: pa.Schema, frames: Iterable[pd.DataFrame]) -> int:
    """Write each frame, the rows of one batch, as a row group, and return the number of rows.

    A column of `schema` that a frame lacks is filled with null. A frame without rows leaves no row group.
    """
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
    parts, metadata = [], pq.read_metadata(path)
    batch_column = metadata.schema.names.index(BATCH)
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        batches = group.column(batch_column).statistics
        if batches.min != batches.max:
            fault = f"{path}: expected one batch in row group {number}, got {batches.min} to {batches.max}"
            raise Unfit(fault, "Write the file again with `trimtab prepare`.")
        parts.append(Part(path, number, batches.min, group.num_rows))
    return parts
