"""Makes predictions: choose the version, predict, log, and offer the rows to the challenger."""

import logging
import os
import queue
import threading
import uuid
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from trimtab.clock import Clock
from trimtab.data.schema import ROW_ID
from trimtab.errors import ModelBroken
from trimtab.params import Params
from trimtab.predictions.records import Prediction, Role
from trimtab.predictions.writer import LogWriter
from trimtab.serve import responses
from trimtab.serve.holder import ModelHolder, Serving
from trimtab.serve.metrics import Metrics
from trimtab.serve.request_types import Action
from trimtab.serve.retries import Retries
from trimtab.serve.row_checker import CheckedRows, Row

log = logging.getLogger(__name__)

_HASHES = 2**32
_REMEMBERED_REQUESTS = 20
"""Requests of the largest size whose predictions are remembered for a retry."""
_Asked = tuple[str, Row, datetime, Action | None]
"""The id of the future prediction, and its row, event time and action."""


class Predicting:
    """Predicts with the champion, and a share of the rows with the former champion.

    Args:
        holders: `champion` holds the version in Production, `holdback` the version before it, `shadow` the challenger.
        writer: Stores every prediction before the response is sent.
        params: The parameters.
        clock: Gives the time of a prediction.
        metrics: Counts rows and predictions.
    """

    def __init__(
        self,
        holders: Mapping[Role, ModelHolder],
        writer: LogWriter,
        params: Params,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._former = holders.get("holdback")
        self._writer, self._clock, self._metrics = writer, clock, metrics
        self._model, self._share = params.model.name, params.serve.holdback_share
        self._retries = Retries(writer, self._model, _REMEMBERED_REQUESTS * params.serve.max_rows)
        challenger = holders.get("shadow")
        self._shadow = Shadow(challenger, writer, params, metrics.dropped) if challenger else None

    def answer(
        self, serving: Serving, request: CheckedRows, key: str | None
    ) -> tuple[Sequence[Prediction], bool]:
        """Return a prediction for each row, in their order, and whether they were made before.

        Args:
            serving: The champion.
            request: Rows and actions that were checked by its contract.
            key: The same for a client's retry; None makes new predictions in any case.

        Raises:
            RequestRejected: The key came with another body before.
            Conflict: A request with this key is being processed.
            ModelBroken: The model predicted NaN or infinity.
            StoreUnreachable: The log does not accept the predictions.
        """
        if key is None:
            return self._make(serving, request, random_ids(len(request.rows))), False
        return self._retries.answer(key, request, lambda ids: self._make(serving, request, ids))

    def _make(self, serving: Serving, request: CheckedRows, ids: Sequence[str]) -> list[Prediction]:
        now, former = self._clock(), self._former.serving if self._former else None
        asked = list(zip(ids, request.rows, request.times, request.actions, strict=True))
        if former is None or not _can_replace(former, serving, request.rows):
            made = self._by(serving, "champion", None, asked, now)
        else:
            made = self._shared(serving, former, asked, now)
        self._writer.add(made)
        self._metrics.asked(request.missing, request.unseen)
        if self._shadow:
            self._shadow.offer(made, serving)
        return made

    def _shared(
        self, serving: Serving, former: Serving, asked: Sequence[_Asked], now: datetime
    ) -> list[Prediction]:
        """Predict a share of the row ids with the former champion, and the others with the champion."""
        held = [held_back(row[ROW_ID], self._share) for _, row, _, _ in asked]
        own = [row for row, is_held in zip(asked, held, strict=True) if not is_held]
        former_rows = [row for row, is_held in zip(asked, held, strict=True) if is_held]
        by_champion = iter(self._by(serving, "champion", 1 - self._share, own, now))
        by_former = iter(self._by(former, "holdback", self._share, former_rows, now))
        return [next(by_former if is_held else by_champion) for is_held in held]

    def _by(
        self, serving: Serving, role: Role, propensity: float | None, asked: Sequence[_Asked], now: datetime
    ) -> list[Prediction]:
        if not asked:
            return []
        version, label = serving.version.version, serving.params.data.label
        predicted = serving.scorer.answers([row for _, row, _, _ in asked])
        if not np.isfinite(predicted).all():
            raise ModelBroken(version)
        self._metrics.predicted(version, role, label, predicted)
        return [
            Prediction(
                prediction_id=prediction_id,
                row_id=row[ROW_ID],
                model=self._model,
                version=version,
                served_at=now,
                event_time=time,
                role=role,
                answer=answer,
                action=action.name if action else None,
                propensity=action.propensity if action else propensity,
                features=row,
            )
            for (prediction_id, row, time, action), answer in zip(
                asked, responses.logged(label, predicted), strict=True
            )
        ]


class Shadow:
    """The challenger in Staging predicts the same rows after the response, for the log only.

    A bounded queue and a thread. Rows that do not fit, or that lack a feature of the challenger, are dropped and counted; no
    request waits.

    Args:
        challenger: Holds the version in Staging.
        writer: The prediction log.
        params: The parameters; `serve.shadow_rows` may wait.
        dropped: Counts rows that were dropped, or that the challenger could not predict.
    """

    def __init__(
        self, challenger: ModelHolder, writer: LogWriter, params: Params, dropped: Callable[[int], None]
    ) -> None:
        self._challenger, self._writer, self._dropped = challenger, writer, dropped
        self._max_rows = params.serve.shadow_rows
        self._queue: queue.SimpleQueue[tuple[Serving, Sequence[Prediction]]] = queue.SimpleQueue()
        self._lock, self._waiting = threading.Lock(), 0
        threading.Thread(target=self._loop, name="shadow", daemon=True).start()

    def offer(self, answered: Sequence[Prediction], champion: Serving) -> None:
        """Let the challenger predict the same rows, if there is one, it can, and the queue has room."""
        serving = self._challenger.serving
        if serving is None:
            return
        if not serving.can_predict([prediction.features for prediction in answered], champion):
            self._dropped(len(answered))
            return
        with self._lock:
            if self._waiting + len(answered) > self._max_rows:
                self._dropped(len(answered))
                return
            self._waiting += len(answered)
        self._queue.put((serving, answered))

    def _loop(self) -> None:
        while True:
            serving, answered = self._queue.get()
            try:
                self._writer.add(self._predict(serving, answered))
            except Exception:  # a failing challenger must not end the thread
                log.exception("Version %s could not answer as a shadow", serving.version.version)
                self._dropped(len(answered))
            with self._lock:
                self._waiting -= len(answered)

    def _predict(self, serving: Serving, answered: Sequence[Prediction]) -> list[Prediction]:
        version = serving.version.version
        predicted = serving.scorer.answers([prediction.features for prediction in answered])
        logged = responses.logged(serving.params.data.label, predicted)
        return [
            replace(
                prediction,
                prediction_id=str(uuid.uuid5(uuid.UUID(prediction.prediction_id), f"shadow {version}")),
                version=version,
                role="shadow",
                action=None,
                propensity=None,
                answer=answer,
            )
            for prediction, answer in zip(answered, logged, strict=True)
        ]


def _can_replace(former: Serving, champion: Serving, rows: Sequence[Row]) -> bool:
    same_label = former.params.data.label == champion.params.data.label
    return same_label and former.can_predict(rows, champion)


def held_back(row_id: str, share: float) -> bool:
    """Return whether the former champion predicts a row: a fixed choice per id, true for about this share of the ids.

    >>> sum(held_back(str(number), 0.1) for number in range(10_000))
    1033
    """
    return zlib.crc32(row_id.encode()) < share * _HASHES


def random_ids(count: int) -> list[str]:
    """Return random UUIDs of version 4 as text, in a quarter of the time that `uuid.uuid4` takes."""
    text = os.urandom(16 * count).hex()
    return [
        f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{'89ab'[int(digits[16], 16) & 3]}{digits[17:20]}-{digits[20:]}"
        for digits in (text[start : start + 32] for start in range(0, len(text), 32))
    ]
