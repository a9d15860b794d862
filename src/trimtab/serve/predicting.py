"""The work behind `POST /predict`: check, choose who answers, answer, log, let the challenger see it."""

import os
import zlib
from collections.abc import Sequence
from datetime import datetime

import numpy as np

from trimtab import params
from trimtab.clock import Clock
from trimtab.data.schema import ROW_ID
from trimtab.errors import ModelBroken
from trimtab.predictions.records import Prediction, Role
from trimtab.predictions.writer import LogWriter
from trimtab.serve import answers, error_handlers
from trimtab.serve.holder import ModelHolder, Serving
from trimtab.serve.metrics import Metrics
from trimtab.serve.request_types import Action
from trimtab.serve.retries import Retries
from trimtab.serve.row_checker import CheckedRows, Row
from trimtab.serve.shadow import Shadow

_HASHES = 2**32
_REMEMBERED_REQUESTS = 20
"""Of the largest size, whose answers are remembered for a retry."""
_Asked = tuple[str, Row, datetime, Action | None]
"""The id of a prediction to be, and the row, event time and action that it is for."""


class Predicting:
    """Answers requests with the champion, and a share of the rows with the champion before it.

    Args:
        champion: Holds the model that answers.
        former: Holds the one before; None without a holdback.
        shadow: Takes what was asked, for the challenger; None without.
        log: Takes every answer before the client sees it.
        wanted: The parameters.
        clock: Says when it was served.
        metrics: Counts.
    """

    def __init__(
        self,
        champion: ModelHolder,
        former: ModelHolder | None,
        shadow: Shadow | None,
        log: LogWriter,
        wanted: params.Params,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._champion, self._former, self._shadow = champion, former, shadow
        self._log, self._clock, self._metrics = log, clock, metrics
        self._model, self._label = wanted.model.name, wanted.data.label
        self._share = wanted.serve.holdback_share
        self._retries = Retries(log, self._model, _REMEMBERED_REQUESTS * wanted.serve.max_rows)

    def answer(self, request: CheckedRows, key: str | None) -> tuple[Sequence[Prediction], bool]:
        """Return a prediction for each row, in their order, and whether they were made before.

        Args:
            request: Rows and actions.
            key: The same for a client's retry; None makes new predictions in any case.

        Raises:
            RequestRejected: The key came with another body before.
            Conflict: A request with this key is being answered right now.
            ServiceUnavailable: There is no model yet.
            ModelBroken: The model answered with something that is not a number.
            StoreUnreachable: The log does not take the predictions.
        """
        if key is None:
            return self._make(request, random_ids(len(request.rows))), False
        return self._retries.answer(key, request, lambda ids: self._make(request, ids))

    def _make(self, request: CheckedRows, ids: Sequence[str]) -> list[Prediction]:
        serving = self._champion.serving  # read once: it may be replaced at any time
        if serving is None:
            raise error_handlers.not_ready(self._champion.trouble)
        former = self._former.serving if self._former is not None else None
        now = self._clock()
        asked = list(zip(ids, request.rows, request.times, request.actions, strict=True))
        if former is None:
            made = self._by(serving, "champion", None, asked, now)
        else:
            made = self._shared(serving, former, asked, now)
        self._log.add(made)
        self._metrics.asked(request.missing, request.unseen)
        if self._shadow is not None:
            self._shadow.offer(made)
        return made

    def _shared(
        self, serving: Serving, former: Serving, asked: Sequence[_Asked], now: datetime
    ) -> list[Prediction]:
        """Answer a share of the row ids with the former champion, and the others with the champion."""
        held = [held_back(row[ROW_ID], self._share) for _, row, _, _ in asked]
        ours = [row for row, is_held in zip(asked, held, strict=True) if not is_held]
        theirs = [row for row, is_held in zip(asked, held, strict=True) if is_held]
        by_champion = iter(self._by(serving, "champion", 1 - self._share, ours, now))
        by_former = iter(self._by(former, "holdback", self._share, theirs, now))
        return [next(by_former if is_held else by_champion) for is_held in held]

    def _by(
        self,
        serving: Serving,
        role: Role,
        propensity: float | None,
        asked: Sequence[_Asked],
        now: datetime,
    ) -> list[Prediction]:
        if not asked:
            return []
        version = serving.champion.version
        found = serving.ready.scorer.answers([row for _, row, _, _ in asked])
        if not np.isfinite(found).all():
            raise ModelBroken(version)
        self._metrics.predicted(version, role, answers.figures(self._label, found))
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
                asked, answers.kept(self._label, found), strict=True
            )
        ]


def held_back(row_id: str, share: float) -> bool:
    """Tell whether the former champion answers a row: always the same for one id, for about this share of them.

    >>> sum(held_back(str(number), 0.1) for number in range(10_000))
    1033
    """
    return zlib.crc32(row_id.encode()) < share * _HASHES


def random_ids(count: int) -> list[str]:
    """Return random UUIDs of version 4 as text, in a quarter of the time that `uuid.uuid4` takes."""
    text = os.urandom(16 * count).hex()
    return [
        f"{one[:8]}-{one[8:12]}-4{one[13:16]}-{'89ab'[int(one[16], 16) & 3]}{one[17:20]}-{one[20:]}"
        for one in (text[start : start + 32] for start in range(0, len(text), 32))
    ]
