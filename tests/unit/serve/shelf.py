"""Two fitted models in skops files, and which of them is in Production, as a test says."""

from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from flask.testing import FlaskClient
from skops.io import dumps

from tests.support.builders import sales, shops
from tests.support.predictions import flush
from trimtab import files, params
from trimtab.contracts import ModelVersion
from trimtab.errors import StoreUnreachable
from trimtab.predictions.opening import open_log
from trimtab.predictions.writer import LogWriter
from trimtab.registry.load import MODEL_FILE, load
from trimtab.serve.app import create_app
from trimtab.serve.holder import ModelHolder, Serving
from trimtab.serve.scoring import scorer
from trimtab.serve.tokens import Tokens
from trimtab.train.fit import build, fit

WANTED = shops(serve__max_rows=50)
EVERYBODY = Tokens({})
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
ROW = {"row_id": "a", "event_time": "2026-01-05T12:00:00Z", "shop": "north", "price": 10, "noise": 0.5}


@lru_cache(maxsize=2)
def fitted(version: str) -> bytes:
    """Version 1 learnt the sales as they are, version 2 the opposite."""
    frame = sales()
    if version == "2":
        frame["label"] = 1 - frame["label"]
    content: bytes = dumps(fit(build(WANTED), WANTED, frame))
    return content


class Shelf:
    """A registry of files: versions are loaded from it by digest, as the service does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.away = False
        self.champion: ModelVersion | None = None

    def put(self, version: str, content: bytes) -> ModelVersion:
        """Keep a model file under its digest."""
        draft = self.folder / "draft"
        draft.write_bytes(content)
        digest = files.digest(draft)
        (self.folder / digest).mkdir(exist_ok=True)
        draft.rename(self.folder / digest / MODEL_FILE)
        return ModelVersion(version=version, run_id="r", source="s", digest=digest, trained_through=NOON)

    def promote(self, version: str, content: bytes | None = None) -> None:
        """Name a version champion; it is one of the two models, or the given bytes."""
        self.champion = self.put(version, fitted(version) if content is None else content)

    def find(self) -> ModelVersion | None:
        """What the ledger and MLflow would say."""
        if self.away:
            raise StoreUnreachable(
                "MLflow", "http://admin:hunter2@mlflow", "MLFLOW_TRACKING_URI", "ReadTimeout"
            )
        return self.champion

    def prepare(self, version: ModelVersion) -> Serving:
        """Load it as production does."""
        pipeline = load(version.source, version.digest, WANTED.model.trusted_types, cache=self.folder)
        return Serving(
            version=version,
            scorer=scorer(pipeline, WANTED),
            params=WANTED,
            commit="c0ffee",
            batches={"w1": "revision 1, md5 0"},
        )

    def holder(self, *, keeps: bool = True) -> ModelHolder:
        """A holder that looks here."""
        return ModelHolder(find=self.find, prepare=self.prepare, keeps=keeps)


class Log(LogWriter):
    """A writer whose store can be read; a reader sees all that was accepted."""

    def __init__(self, folder: Path, **changes: object) -> None:
        settings = WANTED.predictions.model_copy(update={"retry_seconds": 0.05, **changes})
        self.store = open_log(f"sqlite:///{folder / 'log.db'}", settings)
        super().__init__(self.store, folder / "spool", settings, lambda: NOON)

    def count(self) -> tuple[int, int]:
        """Predictions and outcomes."""
        assert flush(self, seconds=30)
        return self.store.count()


def client_of(
    holder: ModelHolder,
    log: LogWriter,
    parameters: params.Params = WANTED,
    *,
    tokens: Tokens = EVERYBODY,
    **others: ModelHolder,
) -> FlaskClient:
    """A client of an application around these; `others` are the holders of `shadow` and `holdback`."""
    app = create_app({"champion": holder, **others}, log, parameters, lambda: NOON, tokens=tokens)
    return app.test_client()
