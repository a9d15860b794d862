"""The service as production starts it, on the ledger, the registry and the model files of a loop."""

import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pandas as pd
import requests
from sklearn.pipeline import Pipeline
from skops.io import dump

from tests.integration.service import served
from tests.support import playground
from tests.support.builders import ROOT
from trimtab import files
from trimtab.contracts import Recipe, Stage, Training
from trimtab.ledger import Transition, Version
from trimtab.loop.loop import Loop
from trimtab.loop.stage import RUN_TAG
from trimtab.registry import transitions
from trimtab.registry.load import MODEL_FILE

PATIENCE_SECONDS = 90


@dataclass(frozen=True, kw_only=True)
class Service:
    """A running service and its client."""

    address: str
    session: requests.Session

    def get(self, path: str) -> requests.Response:
        return self.session.get(self.address + path, timeout=30)

    def post(self, path: str, body: object) -> requests.Response:
        return self.session.post(self.address + path, json=body, timeout=60)

    def wait_for(self, version: str) -> None:
        """Wait until the version answers."""
        patience = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < patience:
            answer = self.get("/readyz")
            if answer.ok and answer.json()["version"] == version:
                return
            time.sleep(0.1)
        raise AssertionError(f"Version {version} never answered: {self.get('/readyz').text}")


@contextmanager
def running(loop: Loop, app: str = "trimtab.serve.wsgi:application", **environment: str) -> Iterator[Service]:
    """Run the service on a free port; it has to close its log when it is stopped."""
    output = loop.stores.home / "service.log"
    with output.open("wb") as file:
        process = subprocess.Popen(
            served.command("127.0.0.1:0", app),
            stdout=file,
            stderr=file,
            cwd=ROOT,
            env={**os.environ, "TRIMTAB_HOME": str(loop.stores.home), **environment},
        )
    try:
        with requests.Session() as session:
            session.trust_env = False
            host, port = served.listening(process, output)
            yield Service(address=f"http://{host}:{port}", session=session)
    finally:
        process.terminate()
        process.wait(30)
        print(output.read_text())
    left = [path.name for path in loop.stores.spool.iterdir()]
    assert left == [".lock"], "the service ended without closing its log"


def week(number: int) -> pd.DataFrame:
    frame = playground.thin(playground.weeks()[number])
    return frame[frame["label"].notna()].reset_index(drop=True)


def requested(loop: Loop, frame: pd.DataFrame) -> list[dict[str, Any]]:
    fields = ["row_id", "event_time", *loop.params.data.features]
    rows: list[dict[str, Any]] = json.loads(
        frame[fields].to_json(orient="records", date_format="iso", date_unit="us", double_precision=15)
    )
    return rows


def promote(
    loop: Loop,
    pipeline: Pipeline,
    stage: Stage = "Production",
    tags: Mapping[str, str] | None = None,
    recipe: Recipe | None = None,
) -> str:
    """Register a version and move it to a stage as the loop does; its file lies where `load` keeps files."""
    import mlflow

    models = loop.stores.home / "models"
    models.mkdir(exist_ok=True)
    dump(pipeline, models / "draft")
    digest = files.digest(models / "draft")
    (models / digest).mkdir()
    (models / "draft").rename(models / digest / MODEL_FILE)
    client = mlflow.MlflowClient(loop.registry.uri)
    run = client.create_run(client.create_experiment(secrets.token_hex(8)), tags=dict(tags or {})).info.run_id
    version = loop.registry.register(loop.model, run, f"runs:/{run}/model", {RUN_TAG: run})
    now = playground.weeks()[0].end
    training = Training(
        run_id=run,
        source=f"runs:/{run}/model",
        digest=digest,
        rows=1,
        batches=(),
        trained_through=now,
        seconds=1.0,
        recipe=recipe,
    )
    loop.ledger.append(Version(version=version, candidate="all", training=training))
    before = loop.registry.in_stage(loop.model, "Production")
    promotion = Transition(
        key=f"{version}:{stage}:promote",
        kind="promote" if stage == "Production" else "stage",
        version=version,
        to_stage=stage,
        replaces=before[-1] if before and stage == "Production" else None,
        actor="test",
        reason="test",
        evidence_sha256=None,
        event_time=now,
    )
    transitions.move(loop.ledger, loop.ledger, loop.registry, promotion)
    return version
