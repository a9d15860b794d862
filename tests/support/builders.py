"""Values that several unit tests build on: the shipped parameters, and a small world of shops and prices."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml

from trimtab import params
from trimtab.train import row_groups

ROOT = Path(__file__).parents[2]
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
BINARY = params.Binary(kind="binary")
CLASSES = params.Multiclass(kind="multiclass", classes=["low", "middle", "high"])
VALUE = params.Regression(kind="regression", min=0.0, max=100.0)


@lru_cache(maxsize=1)
def shipped() -> params.Params:
    """The `params.yaml` of this repository; the limits of regret and age are those that the tests were written for."""
    parameters = params.load(ROOT / params.FILE)
    trigger = parameters.trigger.model_copy(update={"regret": 0.03, "max_age_batches": 8})
    return parameters.model_copy(update={"trigger": trigger})


def shops(**changes: object) -> params.Params:
    """Parameters of a model with one category and two numbers; a change is written `gate__min_blocks`."""
    content = yaml.safe_load((ROOT / params.FILE).read_text())
    content["gate"]["slices"] = []
    content["data"]["features"] = {
        "shop": {"kind": "category", "nullable": True, "categories": ["north", "south"]},
        "price": {"kind": "number", "nullable": True, "min": 0.0, "max": 100.0},
        "noise": {"kind": "number", "nullable": False, "min": -10.0, "max": 10.0},
    }
    content["model"]["settings"] = {"max_iter": 20, "min_samples_leaf": 20, "early_stopping": False}
    for key, value in changes.items():
        section, name = key.split("__")
        content[section][name] = value
    return params.parse(yaml.safe_dump(content, sort_keys=False))


def sales(rows: int = 400, *, seed: int = 0, start: datetime = MONDAY) -> pd.DataFrame:
    """Labelled rows: the label is 1 more often at high prices, and in the north."""
    draw = np.random.default_rng(seed)
    shop = draw.choice(["north", "south"], rows)
    price = draw.uniform(0, 100, rows)
    chance = 1 / (1 + np.exp(-(price - 50) / 15 - (shop == "north")))
    times = pd.DatetimeIndex([start + timedelta(minutes=20 * number) for number in range(rows)])
    return pd.DataFrame(
        {
            "row_id": [f"{seed}-{number}" for number in range(rows)],
            "event_time": times,
            "shop": shop,
            "price": price,
            "noise": draw.normal(size=rows).clip(-9, 9),
            "label": pd.array((draw.uniform(size=rows) < chance).astype(int), dtype="Int64"),
            "label_known_at": times + pd.Timedelta(hours=1),
        }
    )


def in_file(folder: Path, frames: Mapping[str, pd.DataFrame]) -> row_groups.Rows:
    """The rows of batches as `trimtab prepare` leaves them."""
    named = [frame.assign(batch=name) for name, frame in frames.items()]
    schema = pa.unify_schemas([pa.Schema.from_pandas(frame) for frame in named]).remove_metadata()
    row_groups.write(folder / "rows.parquet", schema, named)
    return row_groups.read(folder / "rows.parquet")
