"""The models of one Airflow: the environment's model, or one `NAME.env` file per model in the folder `TRIMTAB_MODELS`.

A file holds the settings that differ from the environment, one literal `KEY=VALUE` per line; a line with `#` is a comment.
Files are read each time they are needed, so a new file needs no restart.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

VARIABLE = "TRIMTAB_MODELS"
OWN = ("model", "home", "origin", "landing", "dvc_remote", "backups")
"""Settings that must differ between any two models."""
_WHOLE = {VARIABLE, "TRIMTAB_NOW", "TRIMTAB_ALERTS_TOKEN", "TRIMTAB_ALERTS_TOKEN_FILE"}
_TASK_TIMEOUT = timedelta(minutes=15)
_KEY = re.compile(r"(TRIMTAB|MLFLOW)_[A-Z0-9_]+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")


class ModelsError(ValueError):
    """A folder of models with an error. None of its models runs, so that none disappears unnoticed."""

    def __init__(self, where: object, expected: str, got: str) -> None:
        from trimtab.redaction import redact

        super().__init__(
            redact(f"{where}: expected {expected}, got {got}. Fix it: until then no model runs.")
        )


@dataclass(frozen=True)
class Model:
    """One model and its settings that differ from the environment."""

    name: str
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold passwords
    lines: Mapping[str, int] = field(default_factory=dict, repr=False)
    file: Path | None = None
    place: int = 0
    """Position among all models, from 0: what two models must not do at the same time is staggered by it."""

    def dag_id(self, dag: str) -> str:
        """Return the id of its DAG of a kind, such as `retrain_model`."""
        return f"{dag}.{self.name}" if self.file else dag

    def asset(self, kind: str) -> Any:
        """Return its asset of a kind, such as `batches`."""
        from airflow.sdk import Asset

        return Asset(self.uri(kind))

    def uri(self, kind: str) -> str:
        """Return the URI of its asset of a kind."""
        return f"trimtab://{self.name}/{kind}"

    def read(self) -> Any:
        """Return the settings of the model: those of its file, or else of the environment."""
        from trimtab.settings import Settings

        return Settings(**self.settings)

    def enter(self, context: Any) -> None:
        """Set its environment and hide the secrets in it before a task runs. Each task has a process of its own."""
        from airflow.sdk.log import mask_secret

        from trimtab import redaction

        os.environ.update(self.settings)
        redaction.install()
        # Airflow writes a task's output and the traceback of its error in another process, which is told by this.
        for secret in redaction.secrets(os.environ):
            mask_secret(secret)

    def where(self, setting: str) -> str | None:
        """Return the value of a setting in `OWN` in a normal form, so that equal places compare as equal."""
        place = getattr(self.read(), setting)
        if place is None:
            return None
        return place.rstrip("/") if "://" in str(place) else str(Path(place).resolve())


def trimtab_dag(
    schedule: Callable[[Model], Any],
    *,
    doc: str | None,
    impact: str,
    timeout: timedelta = _TASK_TIMEOUT,
    **settings: Any,
) -> Callable[[Callable[[Model], object]], None]:
    """Declare a DAG for each model, with what all DAGs of trimtab have in common.

    The decorated function wires the tasks of one model's DAG, and its name is the DAG's.

    Args:
        schedule: Returns the schedule of a model's DAG.
        doc: The DAG's documentation, shown in Airflow's UI.
        impact: `tier_1` if people notice at once when it fails, else `tier_2`.
        timeout: Of each task that sets none of its own.
        **settings: Further arguments of `DAG`.
    """

    def declare(wire: Callable[[Model], object]) -> None:
        from airflow.sdk import DAG

        for model in models():
            with DAG(
                dag_id=model.dag_id(wire.__name__),
                schedule=schedule(model),
                catchup=False,
                tags=["trimtab", f"impact/{impact}", *([f"model/{model.name}"] if model.file else [])],
                default_args={
                    "owner": "trimtab",
                    "retries": 2,
                    "retry_delay": timedelta(seconds=30),
                    "execution_timeout": timeout,
                    "pre_execute": model.enter,
                },
                doc_md=doc,
                **{"max_active_runs": 1, **settings},
            ):
                wire(model)

    return declare


def models() -> list[Model]:
    """Return all models.

    Raises:
        ModelsError: The folder or a file in it cannot be used.
    """
    folder = here().read().models
    if folder is None:
        return [here()]
    try:
        many = [_read(path, place) for place, path in enumerate(sorted(folder.glob("*.env")))]
    except (OSError, UnicodeDecodeError) as error:
        raise ModelsError(folder, "files that can be read", str(error)) from error
    if not many:
        raise ModelsError(f"{VARIABLE} ({folder})", "a folder with a NAME.env for each model", "none")
    _refuse_same_places(many)
    return many


def here() -> Model:
    """Return the model of the running task."""
    from trimtab.settings import Settings

    return Model(Settings().model or "model")


def _read(path: Path, place: int) -> Model:
    settings, lines = {"TRIMTAB_MODEL": path.stem}, {"TRIMTAB_MODEL": 0}
    for number, key, value in _pairs(path):
        if lines.get(key):
            raise ModelsError(f"{path}:{number}", f"{key} once", f"it again after line {lines[key]}")
        settings[key], lines[key] = value, number
    name, at = settings["TRIMTAB_MODEL"], lines["TRIMTAB_MODEL"]
    if not _NAME.fullmatch(name):
        raise ModelsError(
            f"{path}:{at}" if at else path,
            "a name of letters, digits, '_', '-' and '.', as Airflow's DAG ids take",
            repr(name),
        )
    return Model(name, settings, lines, path, place)


def _pairs(path: Path) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text, where = line.strip(), f"{path}:{number}"
        if not text or text.startswith("#"):
            continue
        key, sign, value = (part.strip() for part in text.partition("="))
        if (
            not sign or not value or value[0] in "\"'"
        ):  # a value may be a secret, so the error names only the key
            got = f"{key[:40]!r} without a value" if not value else f"{key!r} with a quote"
            raise ModelsError(where, "KEY=VALUE, without quotes", got)
        if not _KEY.fullmatch(key) or key in _WHOLE:
            raise ModelsError(where, "a TRIMTAB_ or MLFLOW_ variable of one model", repr(key[:80]))
        yield number, key, value


def _refuse_same_places(models: list[Model]) -> None:
    from trimtab.settings import Settings

    for setting in OWN:
        variable, taken = Settings.variable(setting), dict[str, Model]()
        for model in models:
            got = model.name if setting == "model" else model.where(setting)
            if got is None:
                continue
            if other := taken.get(got):
                line = model.lines.get(variable)
                where = f"{model.file}:{line}" if line else model.file
                raise ModelsError(where, f"a {variable} of its own", f"that of {other.file}: {got}")
            taken[got] = model
