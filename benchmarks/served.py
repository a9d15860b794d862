"""The servers that `benchmarks.serve` compares: ours as it is in production, and FastAPI as one would write it."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimtab import files, params
from trimtab.contracts import ModelVersion

if TYPE_CHECKING:
    from fastapi import FastAPI
    from flask import Flask
    from sklearn.pipeline import Pipeline


def ours() -> "Flask":
    """The model service, without registry and ledger: they are not asked while it answers."""
    from trimtab.clock import system_clock
    from trimtab.predictions.opening import open_log
    from trimtab.predictions.writer import LogWriter
    from trimtab.serve.app import create_app
    from trimtab.serve.holder import ModelHolder, Serving, follow
    from trimtab.serve.scoring import scorer
    from trimtab.serve.tokens import Tokens

    folder, source = os.environ["BENCH_FOLDER"], os.environ["BENCH_MODEL"]
    parameters = params.load(Path(folder) / params.FILE)
    ready = scorer(_pipeline(source, parameters, folder), parameters)
    if not ready.fast:
        raise RuntimeError("The model is served the slow way")
    version = ModelVersion(
        version="1", run_id="", source=source, digest="", trained_through=datetime(2013, 3, 1, tzinfo=UTC)
    )
    serving = Serving(version=version, scorer=ready, params=parameters, commit=None, batches={})
    holder = ModelHolder(find=lambda: version, prepare=lambda _: serving)
    store = open_log(f"sqlite:///{Path(folder) / 'predictions.db'}", parameters.predictions)
    log = LogWriter(store, Path(folder) / "spool", parameters.predictions, system_clock)
    log.start()
    follow([holder], parameters.serve.refresh_seconds)
    return create_app({"champion": holder}, log, parameters, system_clock, tokens=Tokens({}))


def fastapi() -> "FastAPI":
    """A pydantic model of a row, a frame, the pipeline's predict_proba; nothing is logged."""
    import pandas as pd
    from fastapi import FastAPI
    from pydantic import create_model

    folder = os.environ["BENCH_FOLDER"]
    parameters = params.load(Path(folder) / params.FILE)
    pipeline = _pipeline(os.environ["BENCH_MODEL"], parameters, folder)
    fields: dict[str, Any] = {
        name: (str | None if isinstance(feature, params.Category) else float | None, ...)
        for name, feature in parameters.data.features.items()
    }
    row = create_model("Row", **fields)
    body = create_model("Body", rows=(list[row], ...))  # type: ignore[valid-type]  # made a line above
    app = FastAPI()

    @app.post("/predict")
    def predict(asked: body) -> dict[str, list[float]]:  # type: ignore[valid-type]  # made above
        frame = pd.DataFrame([row.model_dump() for row in asked.rows])  # type: ignore[attr-defined]  # made above
        frame = frame.astype(
            {
                name: float
                for name, feature in parameters.data.features.items()
                if isinstance(feature, params.Number)
            }
        )
        return {"probabilities": pipeline.predict_proba(frame)[:, 1].tolist()}

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    return app


def _pipeline(source: str, parameters: params.Params, folder: str) -> "Pipeline":
    import mlflow

    from trimtab.registry.load import MODEL_FILE, load

    path = Path(mlflow.artifacts.download_artifacts(source, dst_path=folder + f"/{os.getpid()}")) / MODEL_FILE
    return load(source, files.digest(path), parameters.model.trusted_types, cache=_cached(path))


def _cached(path: Path) -> Path:
    from trimtab.registry.load import MODEL_FILE

    cached = path.parent / "cache" / files.digest(path)
    cached.mkdir(parents=True, exist_ok=True)
    (cached / MODEL_FILE).write_bytes(path.read_bytes())
    return cached.parent
