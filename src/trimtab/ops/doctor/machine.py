"""Check this machine: Python, installed packages, disk, home folder."""

import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from packaging.markers import Marker

from trimtab.errors import Unfit
from trimtab.ops.doctor.finding import Warn
from trimtab.stack import preflight

_PIN = re.compile(r"^([\w.-]+)(?:\[[^]]*])?==([^\s;\\]+)\s*(?:;([^\\]*))?", re.MULTILINE)
_SHOWN = 5


def python() -> str:
    """Refuse a Python that is too old."""
    preflight.check_python(sys.version_info[:2])
    return sys.version.split()[0]


def packages(requirements: Path) -> str | Warn:
    """Compare installed packages with the pinned versions; packages that are not installed belong to other images."""
    if not requirements.is_file():
        return f"not compared: there is no {requirements.name} in {requirements.resolve().parent}"
    pins = dict(_pins(requirements.read_text(encoding="utf-8")))
    installed = _installed(pins)
    others = [
        f"{name}: expected {pins[name]}, got {version}"
        for name, version in sorted(installed.items())
        if version != pins[name]
    ]
    if not others:
        return f"the {len(installed)} installed are those of {requirements.name}"
    more = f"; and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
    return Warn(
        f"{'; '.join(others[:_SHOWN])}{more}. Run `make setup`, or test what is installed and pin it with `make lock`."
    )


def _pins(text: str) -> Iterator[tuple[str, str]]:
    for name, version, condition in _PIN.findall(text):
        if not condition.strip() or Marker(condition.strip()).evaluate():
            yield name, version


def _installed(names: Mapping[str, str]) -> dict[str, str]:
    versions = {}
    for name in names:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def disk(home: Path) -> str:
    """Refuse a disk that the loop would fill."""
    free = preflight.free_bytes(home)
    preflight.check_disk(home, free=free)
    return f"{free / 1e9:.1f} GB free"


def home_folder(home: Path) -> str:
    """Refuse a home folder that cannot be written."""
    try:
        with tempfile.TemporaryFile(dir=home):
            return f"{home} can be written"
    except OSError as error:
        raise Unfit(
            f"{home} cannot be written ({error.strerror})", "Give it to the user who runs trimtab."
        ) from error
