"""`python -m tests.mutation.by_hand`: six gates that were disarmed by hand, each of which has to turn a test red."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

from tests.mutation.__main__ import ROOT

COPY = ROOT / "var" / "disarmed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Disarmed:
    """One change that disarms the gate, and the tests that have to notice."""

    name: str
    file: str
    before: str
    after: str
    tests: str


DISARMED = (
    Disarmed(
        name="interval ignored",
        file="src/trimtab/evaluate/gate.py",
        before="if comparison.lower <= gate.min_gain:",
        after="if comparison.gain <= gate.min_gain:",
        tests="tests/unit/evaluate",
    ),
    Disarmed(
        name="slices skipped",
        file="src/trimtab/evaluate/checks.py",
        before="checks += _slices(measured, gate)",
        after="pass",
        tests="tests/unit/evaluate",
    ),
    Disarmed(
        name="champion compared with itself",
        file="src/trimtab/project/evaluate.py",
        before="champion = load_pipeline(parameters, version)",
        after="champion = challenger",
        tests="tests/integration/test_people.py::test_a_challenger_is_judged_against_the_champion_and_not_against_itself",
    ),
    Disarmed(
        name="wrong metric direction",
        file="src/trimtab/evaluate/compare.py",
        before="(block.champion - block.challenger, block.rows)",
        after="(block.challenger - block.champion, block.rows)",
        tests="tests/unit/evaluate",
    ),
    Disarmed(
        name="stale holdout",
        file="src/trimtab/trigger/planning.py",
        before="new = [manifest for manifest in ordered if manifest.start >= since]",
        after="new = ordered[-2:]",
        tests="tests/unit/trigger",
    ),
    Disarmed(
        name="select and judge overlap",
        file="src/trimtab/data/batches.py",
        before="ordered[: max(0, len(ordered) - judge)]",
        after="ordered",
        tests="tests/unit/data",
    ),
)


def main() -> int:
    """Return 0 when the unchanged code is green and every disarmed gate is red."""
    _copy()
    failed = [tests for tests in sorted({disarmed.tests for disarmed in DISARMED}) if _run(tests) != 0]
    for tests in failed:
        print(f"red without any change: {tests}")
    survived = []
    for disarmed in DISARMED:
        noticed = _notices(disarmed)
        survived += [] if noticed else [disarmed.name]
        print(f"{'noticed' if noticed else 'NOT NOTICED'}: {disarmed.name} ({disarmed.file})", flush=True)
    return int(bool(failed or survived))


def _copy() -> None:
    """Copy what git knows of, as a checkout of its own: a loop under test takes its code from there."""
    shutil.rmtree(COPY, ignore_errors=True)
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (COPY / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, COPY / name)
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=COPY, check=True)


def _notices(disarmed: Disarmed) -> bool:
    path = COPY / disarmed.file
    source = path.read_text()
    if source.count(disarmed.before) != 1:
        raise ValueError(
            f"{disarmed.file} holds {disarmed.before!r} {source.count(disarmed.before)} times, expected once"
        )
    path.write_text(source.replace(disarmed.before, disarmed.after))
    try:
        return _run(disarmed.tests) == 1
    finally:
        path.write_text(source)


def _run(tests: str) -> int:
    """Return pytest's exit status: 1 for red tests, others for anything else."""
    environment = os.environ | {"PYTHONPATH": str(COPY / "src")}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", tests]
    return subprocess.run(command, cwd=COPY, env=environment, capture_output=True).returncode


if __name__ == "__main__":
    sys.exit(main())
