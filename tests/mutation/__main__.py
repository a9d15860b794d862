"""`python -m tests.mutation`: mutate a copy, list what survives and stands in no justification."""

import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import TypeVar

from tests.mutation.mutants import KILLED, SURVIVED, Key, read

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
COPY = ROOT / "var" / "mutation"
COPIED = ("src", "examples", "tests", "pyproject.toml", "params.yaml")
Value = TypeVar("Value")
EVERY = 5.0
"""Seconds between two progress lines."""


def main(arguments: list[str]) -> int:
    """Return 0 when each survivor is justified and each justification is needed; one path limits it to what lies below."""
    began = time.monotonic()
    below = arguments[0].rstrip("/") if arguments else "src"
    if not (ROOT / below).exists():
        print(
            f"{below}: no such path. Name one below src: make mutate ONLY=src/trimtab/evaluate",
            file=sys.stderr,
        )
        return 2
    why = justified((HERE / "justified.toml").read_text())
    copy()
    module = below.removeprefix("src").removesuffix(".py").strip("/").replace("/", ".")
    if _run(began, [f"{module}.*"] if module else []) != 0:
        print(f"mutmut failed; the end of {COPY.relative_to(ROOT)}/mutmut.log:", file=sys.stderr)
        print("\n".join(_lines((COPY / "mutmut.log").read_text())[-40:]), file=sys.stderr)
        return 1
    lines, code = report(_below(below, read(COPY)), _below(below, why))
    print("\n".join(lines))
    print(f"{time.monotonic() - began:.0f} s")
    return code


def copy() -> None:
    """Lay out what the tests need below `var/mutation`; mutmut writes there only."""
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, COPY / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, COPY / name)


def justified(text: str) -> dict[Key, str]:
    """Read the justifications.

    Raises:
        ValueError: One stands twice, or has no reason.
    """
    reasons: dict[Key, str] = {}
    for entry in tomllib.loads(text).get("survivor", []):
        key = Key(entry["file"], entry["function"], entry["mutation"])
        if key in reasons or not entry["why"].strip():
            raise ValueError(f"justified.toml: {key}: appears twice, or has no reason. Correct the entry.")
        reasons[key] = entry["why"]
    return reasons


def report(statuses: dict[Key, int | None], why: dict[Key, str]) -> tuple[list[str], int]:
    """Say what came of each mutant, and whether anything is left to do."""
    survivors = {key: SURVIVED[status] for key, status in statuses.items() if status in SURVIVED}
    killed = [key for key, status in statuses.items() if status in KILLED]
    undecided = sorted(statuses.keys() - survivors.keys() - set(killed))
    open_ones = sorted(survivors.keys() - why.keys())
    needless = sorted(why.keys() - survivors.keys())
    lines = [f"survives ({survivors[key]}): {key}" for key in open_ones]
    lines += [f"undecided (status {statuses[key]}): {key}" for key in undecided]
    lines += [f"justified, but no survivor any more: {key}" for key in needless]
    lines.append(
        f"{len(statuses)} mutants: {len(killed)} killed, {len(survivors)} survived, of which "
        f"{len(survivors) - len(open_ones)} are justified and {len(open_ones)} are not; {len(undecided)} undecided; "
        f"{len(needless)} justifications match no survivor"
    )
    return lines, int(not killed or bool(open_ones or undecided or needless))


def _below(path: str, keyed: dict[Key, Value]) -> dict[Key, Value]:
    return {key: value for key, value in keyed.items() if f"{key.file}/".startswith(f"{path}/")}


def _run(began: float, only: list[str]) -> int:
    child = subprocess.Popen(
        [sys.executable, "-P", HERE / "operators.py", "run", "--max-children", "1", *only],
        cwd=COPY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert child.stdout is not None
    said, tail = 0.0, ""
    with (COPY / "mutmut.log").open("w", encoding="utf-8") as log:
        while chunk := child.stdout.read1(65536):
            text = chunk.decode(errors="replace")
            log.write(text)
            tail = (tail + text)[-500:]
            counts = re.findall(r"(\d+)/(\d+) ", tail)
            if time.monotonic() - said > EVERY:
                said = time.monotonic()
                done = (
                    f"{counts[-1][0]} of {counts[-1][1]} mutants" if counts else "running the tests unchanged"
                )
                print(f"mutate: {done}, {said - began:.0f} s", flush=True)
    return child.wait()


def _lines(log: str) -> list[str]:
    return [line.rpartition("\r")[2] for line in log.splitlines()]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
