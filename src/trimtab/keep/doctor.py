"""Look at the stores, services, versions and this machine, and say for each what to do."""

import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import requests

from trimtab import params, stores
from trimtab.data import commands
from trimtab.data.mirror import address
from trimtab.data.origin import REMOTE, Origin
from trimtab.errors import CommandFailed, StoreUnreachable, TrimtabError, Unfit
from trimtab.predictions.opening import open_log
from trimtab.registry.ledger import Ledger
from trimtab.registry.load import load
from trimtab.registry.mlflow_store import Store
from trimtab.stack import preflight
from trimtab.stores import Stores

_SECONDS = 60.0
"""For one check: MLflow alone takes ten to be imported on a busy machine."""
_ANSWER_SECONDS = 5.0
_LAST_VERSIONS = 3
_SERVICES = {
    "Airflow": ("TRIMTAB_AIRFLOW_URL", "/api/v2/monitor/health"),
    "model service": ("TRIMTAB_SERVICE_URL", "/readyz"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found; a failure's text says what to do."""

    check: str
    state: Literal["ok", "fail"]
    found: str

    def __str__(self) -> str:
        return f"{self.state:4}  {self.check}: {self.found}"


def examine(where: Stores | None = None, *, seconds: float = _SECONDS) -> list[Finding]:
    """Run every check, whatever became of those before it; none takes longer than `seconds`."""
    found = where or stores.from_environment()
    checks: dict[str, Callable[[], str]] = {
        "Python": _python,
        "disk": lambda: _disk(found.home),
        "home folder": lambda: _home(found.home),
        "origin": lambda: f"at commit {Origin(found).head()[:10]}",
        "DVC remote": lambda: _remote(found),
        "MLflow": lambda: f"{len(Store(found.mlflow).stages(_params(found).model.name))} versions",
        "ledger": lambda: _ledger(found),
        "prediction log": lambda: f"{open_log(found.prediction_log, _params(found).predictions).count()[0]} predictions",
        "Production versions": lambda: _models(found),
    }
    for name, (variable, path) in _SERVICES.items():
        if variable in os.environ:
            checks[name] = lambda variable=variable, path=path: _service(variable, path)  # type: ignore[misc]
    return [_within(name, check, seconds) for name, check in checks.items()]


def _within(name: str, check: Callable[[], str], seconds: float) -> Finding:
    found: list[Finding] = []

    def look() -> None:
        try:
            found.append(Finding(check=name, state="ok", found=check()))
        except TrimtabError as error:
            found.append(Finding(check=name, state="fail", found=str(error)))
        except Exception as error:  # the other checks are to be made all the same
            told = f"{type(error).__name__}: {error}. Nothing was changed; look at what it names."
            found.append(Finding(check=name, state="fail", found=commands.without_credentials(told)))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(seconds)
    late = Finding(check=name, state="fail", found=f"no answer within {seconds:g} s. Check that it runs.")
    return found[0] if found else late


def _python() -> str:
    preflight.check_python(sys.version_info[:2])
    names = ("scikit-learn", "mlflow", "dvc")
    return ", ".join([sys.version.split()[0], *(f"{name} {metadata.version(name)}" for name in names)])


def _disk(home: Path) -> str:
    free = shutil.disk_usage(home if home.exists() else home.parent).free
    preflight.check_disk(home, free=free)
    return f"{free / 1e9:.1f} GB free"


def _home(home: Path) -> str:
    try:
        with tempfile.TemporaryFile(dir=home):
            return f"{home} can be written"
    except OSError as error:
        raise Unfit(
            f"{home} cannot be written ({error.strerror})", "Give it to the user who runs trimtab."
        ) from error


def _remote(where: Stores) -> str:
    """Push a file of a few bytes, always the same, and pull it again."""
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder)
        commands.dvc("init", "--no-scm", cwd=probe)
        commands.dvc("remote", "add", "-d", REMOTE, address(where.dvc_remote), cwd=probe)
        (probe / "probe").write_text("trimtab doctor\n", encoding="utf-8")
        commands.dvc("add", "probe", cwd=probe)
        try:
            commands.dvc("push", cwd=probe)
            shutil.rmtree(probe / ".dvc" / "cache")
            (probe / "probe").unlink()
            commands.dvc("pull", cwd=probe)
        except CommandFailed as error:
            url = commands.without_credentials(address(where.dvc_remote))
            raise StoreUnreachable(
                "The DVC remote", url, "TRIMTAB_DVC_REMOTE_URL", commands.cause(error)
            ) from error
    return "a probe was pushed and pulled"


def _ledger(where: Stores) -> str:
    Ledger(where.ledger).check()
    return "at this code's revision"


def _params(where: Stores) -> params.Params:
    origin = Origin(where)
    return origin.params(origin.head())


def _models(where: Stores) -> str:
    wanted, ledger = _params(where).model, Ledger(where.ledger)
    moved = [one.transition.version for one in ledger.transitions(wanted.name, to="Production")]
    last = list(dict.fromkeys(reversed(moved)))[:_LAST_VERSIONS]
    known = ledger.versions(wanted.name, only=last)
    Store(where.mlflow).stages(wanted.name)  # leads MLflow to the registry
    with tempfile.TemporaryDirectory() as cache:
        for version in last:
            _load(
                known[version].model_version.source,
                known[version].model_version.digest,
                version,
                wanted,
                cache,
            )
    return f"loaded with scikit-learn {metadata.version('scikit-learn')}: {', '.join(last) or 'none yet'}"


def _load(source: str, digest: str, version: str, wanted: params.Model, cache: str) -> None:
    try:
        load(source, digest, wanted.trusted_types, cache=Path(cache))
    except StoreUnreachable:
        raise
    except Exception as error:  # another scikit-learn fails in any way it likes
        what = f"Version {version} cannot be loaded with scikit-learn {metadata.version('scikit-learn')} ({error})"
        raise Unfit(
            what, "Go back to the scikit-learn that it was trained with, or retrain first."
        ) from error


def _service(variable: str, path: str) -> str:
    url = os.environ[variable].rstrip("/") + path
    try:
        requests.get(url, timeout=_ANSWER_SECONDS).raise_for_status()
    except requests.RequestException as error:
        shown = commands.without_credentials(url)
        raise Unfit(
            f"{shown} does not answer ({type(error).__name__})", f"Start it, or correct {variable}."
        ) from error
    return "ready"
