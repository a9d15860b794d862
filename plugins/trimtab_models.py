"""The models of one Airflow: the environment's one, or a `NAME.env` each in the folder that `TRIMTAB_MODELS` names.

A file holds what differs from the environment, `KEY=VALUE` a line, taken to the letter; `#` begins a comment line. Read anew
each time: a new file needs no restart.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VARIABLE = "TRIMTAB_MODELS"
OWN = ("home", "origin", "landing", "dvc_remote", "backups")
"""Settings that no two models may have in common."""
_WHOLE = {VARIABLE, "TRIMTAB_NOW", "TRIMTAB_ALERTS_TOKEN", "TRIMTAB_ALERTS_TOKEN_FILE"}
_KEY = re.compile(r"(TRIMTAB|MLFLOW)_[A-Z0-9_]+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")


class ModelsError(ValueError):
    """A folder of models that cannot be used; no model of it is dropped in silence."""

    def __init__(self, where: object, expected: str, got: str) -> None:
        super().__init__(f"{where}: expected {expected}, got {got}. Mend it: until then no model runs.")


@dataclass(frozen=True)
class Model:
    """One model, and its settings that differ from the environment's."""

    name: str
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold passwords
    lines: Mapping[str, int] = field(default_factory=dict, repr=False)
    file: Path | None = None
    place: int = 0
    """Its place among all: what must not be done at once for two is done later for the second."""

    @property
    def tags(self) -> list[str]:
        """Tags of its DAGs, where there are several models."""
        return [f"model/{self.name}"] if self.file else []

    @property
    def hook(self) -> dict[str, Any]:
        """What `default_args` of its DAGs take in."""
        return {"pre_execute": self.enter} if self.file else {}

    def dag_id(self, dag: str) -> str:
        """Name its DAG of a kind."""
        return f"{dag}.{self.name}" if self.file else dag

    def asset(self, kind: str) -> Any:
        """Return its asset of a kind."""
        from airflow.sdk import Asset

        return Asset(self.uri(kind))

    def uri(self, kind: str) -> str:
        """Name its asset of a kind."""
        return f"trimtab://{self.name}/{kind}"

    def read(self) -> Any:
        """Return its settings: the environment, and over it what its file says."""
        from trimtab.settings import Settings

        return Settings(**self.settings)

    def enter(self, context: Any) -> None:
        """Set its environment, before a task executes: each task has a process of its own."""
        os.environ.update(self.settings)

    def where(self, setting: str) -> str | None:
        """Return one of `OWN` so that two that are the same are equal."""
        place = getattr(self.read(), setting)
        if place is None:
            return None
        return place.rstrip("/") if "://" in str(place) else str(Path(place).resolve())


def models() -> list[Model]:
    """Return all models.

    Raises:
        ModelsError: The folder or a file in it is wrong.
    """
    folder = here().read().models
    if folder is None:
        return [here()]
    try:
        found = [_read(path, place) for place, path in enumerate(sorted(folder.glob("*.env")))]
    except (OSError, UnicodeDecodeError) as error:
        raise ModelsError(folder, "files that can be read", str(error)) from error
    if not found:
        raise ModelsError(f"{VARIABLE} ({folder})", "a folder with a NAME.env for each model", "none")
    _apart(found)
    return found


def here() -> Model:
    """Return the model whose task this is."""
    return Model(Model("").read().model or "model")


def _read(path: Path, place: int) -> Model:
    settings, lines = {"TRIMTAB_MODEL": path.stem}, {"TRIMTAB_MODEL": 0}
    for number, key, value in _pairs(path):
        if lines.get(key):
            raise ModelsError(f"{path}:{number}", f"{key} once", f"it again after line {lines[key]}")
        settings[key], lines[key] = value, number
    name, at = settings["TRIMTAB_MODEL"], lines["TRIMTAB_MODEL"]
    if not _NAME.fullmatch(name):
        expected = "a name of letters, digits, '_', '-' and '.', as Airflow's DAG ids take"
        raise ModelsError(f"{path}:{at}" if at else path, expected, repr(name))
    return Model(name, settings, lines, path, place)


def _pairs(path: Path) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text, where = line.strip(), f"{path}:{number}"
        if not text or text.startswith("#"):
            continue
        key, sign, value = (part.strip() for part in text.partition("="))
        if not sign or not value or value[0] in "\"'":  # a value may be a secret: the key alone is told
            got = f"{key[:40]!r} without a value" if not value else f"{key!r} with a quote"
            raise ModelsError(where, "KEY=VALUE, without quotes", got)
        if not _KEY.fullmatch(key) or key in _WHOLE:
            raise ModelsError(where, "a TRIMTAB_ or MLFLOW_ variable of one model", repr(key[:80]))
        yield number, key, value


def _apart(found: list[Model]) -> None:
    """Refuse two models of one name, or in one place."""
    from trimtab.settings import Settings

    for setting in ("model", *OWN):
        variable = Settings.variable(setting)
        taken: dict[str, Model] = {}
        for model in found:
            got = model.name if setting == "model" else model.where(setting)
            if got is None:
                continue
            if other := taken.get(got):
                line = model.lines.get(variable)
                where = f"{model.file}:{line}" if line else model.file
                raise ModelsError(where, f"a {variable} of its own", f"that of {other.file}: {_shown(got)}")
            taken[got] = model


def _shown(place: str) -> str:
    return re.sub(r"//[^/@]*@", "//", place)
