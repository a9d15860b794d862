"""The work behind `POST /predict`: check, choose who answers, answer, log, let the challenger see it."""

import os
import zlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from trimtab import params
from trimtab.clock import Clock
from trimtab.data.schema import ROW_ID
from trimtab.errors import ModelBroken
from trimtab.predictions.records import Prediction, Role
from trimtab.predictions.writer import LogWriter
from trimtab.serve import answers, refusals
from trimtab.serve.actions import Actions, noted
from trimtab.serve.holder import ModelHolder, Serving
from trimtab.serve.metrics import Metrics
from trimtab.serve.retries import Retries
from trimtab.serve.rows import Checked, RowChecker
from trimtab.serve.shadow import Shadow

_HASHES = 2**32
_REMEMBERED_REQUESTS = 20
"""Of the largest size, whose answers are remembered for a retry."""


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
        self._checker = RowChecker(wanted.data)
        self._retries = Retries(log, self._model, _REMEMBERED_REQUESTS * wanted.serve.max_rows)

    def answer(
        self, rows: Sequence[Any], key: str | None, actions: Actions = ()
    ) -> tuple[Sequence[Prediction], bool]:
        """Return a prediction for each row, in their order, and whether they were given before.

        Args:
            rows: As the client sent them.
            key: The same for a client's retry; None makes new predictions in any case.
            actions: What the client does upon the answers, one a row; none when it does not say.

        Raises:
            RequestRejected: A row breaks the contract, or the key came with other rows before.
            Conflict: A request with this key is being answered right now.
            ServiceUnavailable: There is no model yet.
            ModelBroken: The model answered with something that is no number.
            StoreUnreachable: The log does not take it.
        """
        checked = self._checker.check(rows)
        if key is None:
            return self._make(checked, random_ids(len(rows)), actions), False
        return self._retries.answer(key, rows, actions, lambda ids: self._make(checked, ids, actions))

    def _make(self, checked: Checked, ids: Sequence[str], actions: Actions) -> list[Prediction]:
        serving = self._champion.serving  # read once: it may be replaced at any time
        if serving is None:
            raise refusals.not_ready(self._champion.trouble)
        former = self._former.serving if self._former is not None else None
        now = self._clock()
        if former is None:
            made = self._by(serving, "champion", None, checked, ids, now)
        else:
            made = self._shared(serving, former, checked, ids, now)
        if actions:
            made = noted(made, actions)
        self._log.add(made)
        self._metrics.asked(checked.missing, checked.unseen)
        if self._shadow is not None:
            self._shadow.offer(made)
        return made

    def _shared(
        self, serving: Serving, former: Serving, checked: Checked, ids: Sequence[str], now: datetime
    ) -> list[Prediction]:
        held = [held_back(row[ROW_ID], self._share) for row in checked.rows]
        ours = [place for place, one in enumerate(held) if not one]
        theirs = [place for place, one in enumerate(held) if one]
        made = self._part(serving, "champion", 1 - self._share, checked, ids, now, ours)
        made |= self._part(former, "holdback", self._share, checked, ids, now, theirs)
        return [made[place] for place in range(len(held))]

    def _part(
        self,
        serving: Serving,
        role: Role,
        propensity: float,
        checked: Checked,
        ids: Sequence[str],
        now: datetime,
        places: Sequence[int],
    ) -> dict[int, Prediction]:
        if not places:
            return {}
        part = Checked(
            [checked.rows[place] for place in places], [checked.times[place] for place in places], {}, {}
        )
        found = self._by(serving, role, propensity, part, [ids[place] for place in places], now)
        return dict(zip(places, found, strict=True))

    def _by(
        self,
        serving: Serving,
        role: Role,
        propensity: float | None,
        checked: Checked,
        ids: Sequence[str],
        now: datetime,
    ) -> list[Prediction]:
        version = serving.champion.version
        found = serving.ready.scorer.answers(checked.rows)
        if not np.isfinite(found).all():
            raise ModelBroken(version)
        self._metrics.predicted(version, role, answers.figures(self._label, found))
        return [
            Prediction(
                prediction_id=name,
                row_id=row[ROW_ID],
                model=self._model,
                version=version,
                served_at=now,
                event_time=time,
                role=role,
                answer=answer,
                propensity=propensity,
                features=row,
            )
            for name, row, time, answer in zip(
                ids, checked.rows, checked.times, answers.kept(self._label, found), strict=True
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
