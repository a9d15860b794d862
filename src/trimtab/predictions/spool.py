"""What was accepted and is not in the store yet: a queue whose every record lies on this machine's disk."""

import threading
from collections import deque
from collections.abc import Collection, Sequence
from pathlib import Path

from trimtab.errors import SpoolRefused
from trimtab.predictions.claim import Claim
from trimtab.predictions.records import Prediction, Record, encode
from trimtab.predictions.segment import Segment


class Spool:
    """Segments, oldest first; any thread appends, one takes the oldest and drops it when it is written.

    Args:
        folder: Shared with other processes; see `Claim`.
        most_bytes: What may wait here.
        batch: Records after which a segment is sealed.
        queue: Records that are held in memory too; what is beyond is read from the disk when its turn comes.
    """

    def __init__(self, folder: Path, *, most_bytes: float, batch: int, queue: int) -> None:
        self.folder, self.most_bytes = folder, most_bytes
        self._batch, self._queue = batch, queue
        self._claim = Claim(folder)
        self._segments = deque(Segment.take_over(path) for path in self._claim.inherited)
        self._active: Segment | None = None
        self._closed = False
        self._held = self._accepted = self._dropped = 0
        self._size = sum(segment.size for segment in self._segments)
        self._truths = sum(segment.truths for segment in self._segments)
        self._ids: dict[str, Segment] = {}
        for segment in self._segments:
            self._note(segment, segment.ids)
            self._accepted += segment.count
        self._changed = threading.Condition()

    def append(self, records: Sequence[Record]) -> None:
        """Take records, all or none; they outlast this process from here on.

        Raises:
            SpoolRefused: There is no room for them.
        """
        lines = b"".join(encode(record) for record in records)
        with self._changed:
            if self._closed:
                raise SpoolRefused(self.folder, "the service stops")
            if self._size + len(lines) > self.most_bytes:
                allowed = f"{self.most_bytes / 1e6:g} MB (predictions.spool_mb)"
                raise SpoolRefused(self.folder, f"{self._size / 1e6:.1f} of {allowed} wait in it already")
            self._append(lines, records)
            self._changed.notify_all()

    def has_sealed(self) -> bool:
        """Tell whether a segment waits to which nothing will be added."""
        with self._changed:
            return bool(self._segments) and self._segments[0] is not self._active

    def oldest(self, *, seconds: float) -> Segment | None:
        """Return the oldest segment, sealed; None if the spool stays empty for some seconds."""
        with self._changed:
            if not self._segments and not self._closed:
                self._changed.wait(seconds)
            if not self._segments:
                return None
            if self._segments[0] is self._active:
                self._seal()
            return self._segments[0]

    def drop(self, segment: Segment) -> None:
        """Forget the oldest segment: it is in the store."""
        with self._changed:
            self._segments.popleft()
            for prediction_id in segment.ids:
                if self._ids.get(prediction_id) is segment:
                    del self._ids[prediction_id]
            self._held -= 0 if segment.held is None else segment.count
            self._size -= segment.size
            self._truths -= segment.truths
            self._dropped += segment.count
            segment.remove()
            self._changed.notify_all()

    def keep(self) -> None:
        """Force all that waits to the disk; the store is away."""
        with self._changed:
            waiting = list(self._segments)
            for segment in waiting:
                segment.late = True
        for segment in waiting:
            segment.sync()

    def find(self, prediction_ids: Collection[str]) -> dict[str, Prediction]:
        """Return those of the predictions that wait here; of two with one id the first."""
        with self._changed:
            inside = {self._ids[id_]: None for id_ in prediction_ids if id_ in self._ids}
        predictions: dict[str, Prediction] = {}
        for segment in inside:
            try:
                records = segment.load()[0]
            except FileNotFoundError:  # it is in the store since
                continue
            for record in records:
                if isinstance(record, Prediction) and record.prediction_id in prediction_ids:
                    predictions.setdefault(record.prediction_id, record)
        return predictions

    def has_truths(self) -> bool:
        """Tell whether an outcome waits here."""
        return self._truths > 0

    def sizes(self) -> tuple[int, int, int]:
        """Return the records that wait in memory, those that wait on disk only or too long, and bytes of all."""
        with self._changed:
            late = sum(segment.count for segment in self._segments if segment.late or segment.held is None)
            return self._accepted - self._dropped - late, late, self._size

    def stop(self) -> None:
        """Take no more, and wake who waits for more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def close(self) -> None:
        """Leave what is there to the next process."""
        self.stop()
        with self._changed:
            self._seal()
            self._claim.release()

    def _append(self, lines: bytes, records: Sequence[Record]) -> None:
        segment = self._active
        try:
            if segment is None:
                segment = Segment(self._claim.next())
                self._active = segment
                self._segments.append(segment)
            segment.append(lines, records)
        except OSError as error:
            raise SpoolRefused(self.folder, error) from error
        self._size += len(lines)
        self._accepted += len(records)
        self._hold(segment, len(records))
        self._truths += sum(not isinstance(record, Prediction) for record in records)
        self._note(segment, [record.prediction_id for record in records if isinstance(record, Prediction)])
        if segment.count >= self._batch:
            self._seal()

    def _hold(self, segment: Segment, count: int) -> None:
        if segment.held is None:
            return
        self._held += count
        if self._held > self._queue:
            self._held -= segment.count
            segment.held = None

    def _note(self, segment: Segment, prediction_ids: Sequence[str]) -> None:
        for prediction_id in prediction_ids:
            self._ids.setdefault(prediction_id, segment)

    def _seal(self) -> None:
        if self._active is not None:
            self._active.seal()
            self._active = None
