"""Generated streams of batches with known drifts, to measure policies on."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from trimtab import params

Floats = npt.NDArray[np.float64]

Kind = Literal["abrupt", "gradual", "recurring", "covariate", "none"]
"""What drifts: the concept at once, slowly, or to and fro; the features alone; or nothing."""
KINDS: tuple[Kind, ...] = get_args(Kind)

WEEK = timedelta(days=7)
"""Length of a batch."""

_SPELL = 12
"""Batches for which each of two recurring concepts holds."""
_NUMBERS = 6
_REGIONS = ("north", "east", "south", "west")
_MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
_LABEL_AFTER = timedelta(hours=1)
_BATCH_EFFECT = 0.3
"""Standard deviation of the effect that all rows of one batch share, in log odds: it makes some batches harder."""
_DAY_EFFECT = 0.2


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A generated stream: weekly batches of rows with a binary label.

    Args:
        kind: One of `KINDS`.
        seed: Of all that is random.
        batches: Number of batches.
        rows: Number of rows of each batch.
    """

    kind: Kind
    seed: int
    batches: int = 60
    rows: int = 1000

    @property
    def name(self) -> str:
        """Kind and seed."""
        return f"{self.kind} {self.seed}"

    @property
    def drifts(self) -> tuple[int, ...]:
        """Numbers of the batches with which an abrupt drift begins."""
        return {"abrupt": (self._drift,), "recurring": tuple(range(_SPELL, self.batches, _SPELL))}.get(
            self.kind, ()
        )

    def frames(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Yield the id and the rows of each batch, oldest first."""
        draw = np.random.default_rng(self.seed)
        before, after = _concept(draw), _concept(draw)
        for number in range(self.batches):
            begin = _MONDAY + number * WEEK
            yield _batch_id(begin), self._batch(draw, begin, number, before, after)

    @property
    def ends(self) -> dict[str, datetime]:
        """The end of each batch, by id."""
        begins = (_MONDAY + number * WEEK for number in range(self.batches))
        return {_batch_id(begin): begin + WEEK for begin in begins}

    @property
    def _drift(self) -> int:
        return int(
            np.random.default_rng(self.seed + 10**6).integers(self.batches // 3, 2 * self.batches // 3)
        )

    def _batch(
        self, draw: np.random.Generator, begin: datetime, number: int, before: "_Concept", after: "_Concept"
    ) -> pd.DataFrame:
        shift = 1.5 if self.kind == "covariate" and number >= self.batches // 2 else 0.0
        numbers = draw.normal(size=(self.rows, _NUMBERS)) + shift * (np.arange(_NUMBERS) < 3)
        region = draw.integers(len(_REGIONS), size=self.rows)
        hours = np.sort(draw.uniform(0, 7 * 24, size=self.rows))
        share = self._share_of_after(number)
        log_odds = (1 - share) * before(numbers, region) + share * after(numbers, region)
        days = draw.normal(scale=_DAY_EFFECT, size=7)[(hours // 24).astype(int)]
        log_odds += draw.normal(scale=_BATCH_EFFECT) + days
        times = pd.to_datetime(begin) + pd.to_timedelta(hours, unit="h")
        return pd.DataFrame(
            {
                "row_id": [f"{number}-{row}" for row in range(self.rows)],
                "event_time": times,
                **{f"x{column}": numbers[:, column] for column in range(_NUMBERS)},
                "region": np.array(_REGIONS)[region],
                "label": (draw.uniform(size=self.rows) < 1 / (1 + np.exp(-log_odds))).astype("int64"),
                "label_known_at": times + _LABEL_AFTER,
            }
        )

    def _share_of_after(self, number: int) -> float:
        """Return how much of the second concept holds in a batch, between 0 and 1."""
        third = self.batches / 3
        return {
            "abrupt": float(number >= self._drift),
            "gradual": min(1.0, max(0.0, (number - third) / third)),
            "recurring": float(number // _SPELL % 2),
        }.get(self.kind, 0.0)


_Concept = Callable[[Floats, npt.NDArray[np.int64]], Floats]


def stream_params(parameters: params.Params) -> params.Params:
    """Return parameters for the columns of a stream, with all other values as they are given."""
    features: Mapping[str, params.Feature] = {
        **{
            f"x{column}": params.Number(kind="number", nullable=False, min=-20.0, max=20.0)
            for column in range(_NUMBERS)
        },
        "region": params.Category(kind="category", nullable=False, categories=list(_REGIONS)),
    }
    data = parameters.data.model_copy(
        update={"features": features, "label": params.Binary(kind="binary"), "timezone": "UTC"}
    )
    gate = parameters.gate.model_copy(update={"slices": ["region"]})
    return parameters.model_copy(update={"data": data, "gate": gate})


def _batch_id(begin: datetime) -> str:
    return f"{begin:%G-W%V}"


def _concept(draw: np.random.Generator) -> _Concept:
    """Return a function from features to log odds: linear, with one product and an effect of the region."""
    weights, product = draw.normal(scale=0.7, size=_NUMBERS), draw.normal(scale=0.7)
    regions = draw.normal(scale=0.5, size=len(_REGIONS))

    def log_odds(numbers: Floats, region: npt.NDArray[np.int64]) -> Floats:
        return np.asarray(numbers @ weights + product * numbers[:, 0] * numbers[:, 1] + regions[region])

    return log_odds
