"""One file of the spool: records that were accepted and are not in the store yet, one a line."""

import os
from collections.abc import Sequence
from pathlib import Path

from trimtab import files
from trimtab.predictions.records import Outcome, Prediction, Record, decode


class Segment:
    """A file that is appended to, sealed, written to the store and removed.

    Attributes:
        held: The records, while there is room for them in memory; else None, and `load` reads the file.
        count: Records in it.
        size: Bytes of it.
        ids: Those of the predictions in it.
        truths: How many outcomes are in it.
        late: The store was away when it was to be written, or the process that accepted it is dead.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.held: list[Record] | None = []
        self.count = self.size = self.truths = 0
        self.ids: list[str] = []
        self.late = self._synced = False
        self._file: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)

    @classmethod
    def take_over(cls, path: Path) -> "Segment":
        """Take over a file that another process left; a torn last line was never acknowledged, and is cut off."""
        segment = cls(path)
        content = path.read_bytes()
        segment.size, segment.count = content.rfind(b"\n") + 1, content.count(b"\n")
        segment._truncate()
        segment.held, segment.late = None, True
        segment.seal()
        segment._note(segment.load()[0])
        return segment

    def append(self, lines: bytes, records: Sequence[Record]) -> None:
        """Add all of the lines, or none.

        Raises:
            OSError: The disk does not take them.
        """
        assert self._file is not None
        left = memoryview(lines)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            self._truncate()
            raise
        self.size += len(lines)
        self.count += len(records)
        self._note(records)
        self._synced = False
        if self.held is not None:
            self.held.extend(records)

    def load(self) -> tuple[list[Record], list[bytes]]:
        """Return its records, and the lines that hold no record.

        Raises:
            FileNotFoundError: It was removed, because all of it is in the store.
        """
        held = self.held  # read once: it may be let go at any time
        if held is not None:
            return list(held), []
        records, broken = [], []
        for line in self.path.read_bytes()[: self.size].splitlines():
            try:
                records.append(decode(line))
            except ValueError:
                broken.append(line)
        return records, broken

    def seal(self) -> None:
        """Append no more."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def sync(self) -> None:
        """Force it to the disk, so that it outlasts the machine's power."""
        if not self._synced:
            self._synced = True  # before: what is appended meanwhile may be left out
            files.sync(self.path)
            files.sync(self.path.parent)

    def remove(self) -> None:
        """Forget it: all of it is in the store."""
        self.seal()
        self.path.unlink()

    def _note(self, records: Sequence[Record]) -> None:
        self.ids += [record.prediction_id for record in records if isinstance(record, Prediction)]
        self.truths += sum(isinstance(record, Outcome) for record in records)

    def _truncate(self) -> None:
        assert self._file is not None
        os.ftruncate(self._file, self.size)
