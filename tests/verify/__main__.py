"""`python -m tests.verify AREA`: run an area, keep its log under `var/verify`, append its row."""

import hashlib
import subprocess
import sys
import time
from pathlib import Path

from tests.verify.areas import AREAS, digest
from trimtab.clock import system_clock

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "verification.md"


def main(arguments: list[str]) -> int:
    """Run the named area; the exit status is that of its command."""
    if len(arguments) != 1 or arguments[0] not in AREAS:
        print(f"Name one area: make verify AREA={'|'.join(AREAS)}", file=sys.stderr)
        return 2
    (name,) = arguments
    area = AREAS[name]
    dirty = _git("status", "--porcelain", "--", *area.paths)
    if dirty:
        print(
            f"Commit first: the row names a commit, and these paths differ from it:\n{dirty}", file=sys.stderr
        )
        return 2
    log = ROOT / "var" / "verify" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with log.open("wb") as file:
        child = subprocess.Popen(area.command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert child.stdout is not None
        for line in child.stdout:
            file.write(line)
            sys.stdout.buffer.write(line)
            sys.stdout.flush()
        code = child.wait()
    result = f"{'passed' if code == 0 else f'failed ({code})'} in {(time.monotonic() - began) / 60:.1f} min"
    log_hash = hashlib.sha256(log.read_bytes()).hexdigest()[:16]
    commit = _git("rev-parse", "--short=12", "HEAD")
    covered = f"{digest(ROOT, area.paths)} | {', '.join(area.paths)}"
    with PAGE.open("a", encoding="utf-8") as page:
        page.write(f"| {system_clock():%Y-%m-%d} | {commit} | {name} | {result} | {log_hash} | {covered} |\n")
    return code


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
