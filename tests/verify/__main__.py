"""`python -m tests.verify AREA`: run an area, write its output to `var/verify`, append a row to the log."""

import argparse
import csv
import hashlib
import subprocess
import sys
import time
from pathlib import Path

from tests.verify.areas import AREAS, LOG, digest
from trimtab.clock import system_clock

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Run the named area and return the exit status of its command."""
    parser = argparse.ArgumentParser(prog="make verify")
    parser.add_argument("AREA", choices=AREAS)
    name = parser.parse_args().AREA
    area = AREAS[name]
    if dirty := _git("status", "--porcelain", "--", *area.paths):
        sys.exit(f"Commit first: the log names a commit, and these paths differ from it:\n{dirty}")
    commit, covered = _git("rev-parse", "--short=12", "HEAD"), digest(ROOT, area.paths)
    log = ROOT / "var" / "verify" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    command = ["bash", "-o", "pipefail", "-c", f'{{ {area.command}; }} 2>&1 | tee "$0"', log]
    code = subprocess.run(command, cwd=ROOT).returncode
    result = f"{'passed' if code == 0 else f'failed ({code})'} in {(time.monotonic() - began) / 60:.1f} min"
    log_sha256 = hashlib.sha256(log.read_bytes()).hexdigest()[:16]
    row = [f"{system_clock():%Y-%m-%d}", commit, name, result, log_sha256, covered]
    with (ROOT / LOG).open("a", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow(row)
    return code


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
