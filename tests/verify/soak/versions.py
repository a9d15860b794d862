"""Versions of a model, trained, logged, registered and promoted as the loop does."""

import json
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tests.support import playground
from trimtab.contracts import Training
from trimtab.ledger import Transition, Version
from trimtab.loop.loop import Loop
from trimtab.loop.stage import RUN_TAG
from trimtab.registry import tracking, transitions
from trimtab.train.features import design
from trimtab.train.fit import build, fit, predict

POOL_ROWS = 500
"""Different rows that the clients send, under ever new ids."""
EXAMPLE_ROWS = 5


@dataclass(frozen=True, kw_only=True)
class Made:
    """A registered version, and its pipeline's answer to each row of the pool."""

    version: str
    answers: list[float]


def labelled(number: int) -> pd.DataFrame:
    """The labelled rows of one week."""
    frame = playground.thin(playground.weeks()[number])
    return frame[frame["label"].notna()].reset_index(drop=True)


def pool(loop: Loop) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """The rows that are sent: as a frame, and as JSON without their ids."""
    frame = labelled(0).head(POOL_ROWS)
    fields = frame[["event_time", *loop.params.data.features]]
    text = fields.to_json(orient="records", date_format="iso", date_unit="us", double_precision=15)
    return frame, json.loads(text)


def register(loop: Loop, weeks: int, asked: pd.DataFrame) -> Made:
    """Train on the first weeks, log the model to MLflow, register it."""
    frame = pd.concat([labelled(number) for number in range(weeks)], ignore_index=True)
    end = playground.weeks()[weeks - 1].end
    with tracking.open_run(loop.model, tags={"trimtab.commit": loop.origin.head()}) as run:
        pipeline = fit(build(loop.params), loop.params, frame)
        example = design(frame, loop.params.data).head(EXAMPLE_ROWS)
        source, digest = tracking.log_pipeline(pipeline, example, loop.params.model.trusted_types)
    training = Training(
        run_id=run,
        source=source,
        digest=digest,
        rows=len(frame),
        batches=(),
        trained_through=end,
        seconds=1.0,
    )
    version = loop.registry.register(loop.model, run, source, {RUN_TAG: run})
    loop.ledger.append(Version(version=version, candidate="all", training=training))
    return Made(version=version, answers=predict(pipeline, loop.params, asked).tolist())


def promote(loop: Loop, version: str) -> None:
    """Move a version to Production."""
    before = loop.registry.in_stage(loop.model, "Production")
    promotion = Transition(
        key=f"{version}:promote",
        kind="promote",
        version=version,
        to_stage="Production",
        replaces=before[-1] if before else None,
        actor="soak",
        reason="soak",
        evidence_sha256=None,
        event_time=playground.weeks()[0].end,
    )
    transitions.move(loop.ledger, loop.ledger, loop.registry, promotion)
