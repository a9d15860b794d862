"""Two fitted models in skops files, and which of them is in Production, as a test says."""

from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from sklearn.pipeline import Pipeline
from skops.io import dumps

from tests.unit.builders import sales, shops
from trimtab.contracts import ModelVersion
from trimtab.registry.load import MODEL_FILE, digest_of, load
from trimtab.serve.holder import ModelHolder
from trimtab.train.fit import answers, build, fit

WANTED = shops(serve__max_rows=50)
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
        digest = digest_of(draft)
        (self.folder / digest).mkdir(exist_ok=True)
        draft.rename(self.folder / digest / MODEL_FILE)
        return ModelVersion(version=version, run_id="r", source="s", digest=digest, trained_through=NOON)

    def promote(self, version: str, content: bytes | None = None) -> None:
        """Name a version champion; it is one of the two models, or the given bytes."""
        self.champion = self.put(version, fitted(version) if content is None else content)

    def find(self) -> ModelVersion | None:
        """What the ledger and MLflow would say."""
        if self.away:
            raise ConnectionError("the registry is away")
        return self.champion

    def load(self, champion: ModelVersion) -> Pipeline:
        """Load it as production does."""
        return load(champion.source, champion.digest, WANTED.model.trusted_types, cache=self.folder)

    def holder(self) -> ModelHolder:
        """A holder that looks here."""
        return ModelHolder(
            find=self.find,
            load=self.load,
            warm=lambda pipeline: answers(pipeline, WANTED, sales(1)),
            refresh_seconds=0.02,
        )
