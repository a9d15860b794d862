"""The areas of verification: what each runs, which files its result depends on, and whether it is stale."""

import csv
import hashlib
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

LOG = Path("docs", "verification-log.csv")
COLUMNS = ["date", "commit", "area", "result", "log_sha256", "paths_sha256"]


class Area(NamedTuple):
    """One area.

    Args:
        command: A shell command, run in the root of the repository. It passes if its exit status is 0.
        paths: Git pathspecs. A recorded result is stale once a file below them has changed; `:!` excludes a path.
    """

    command: str
    paths: tuple[str, ...]


LOOP = (
    "src/trimtab",
    ":!src/trimtab/serve",
    ":!src/trimtab/views",
    "examples",
    "dags",
    "plugins/trimtab_models.py",
    "plugins/trimtab_operators.py",
    "params.yaml",
    "MLproject",
    "requirements.txt",
)
"""What the loop decides does not depend on the service or on the pages."""
DEMO = (*LOOP, "tests/support/agreement.py", "tests/verify/agreement.py")
REPLAYED = "python -m tests.verify.agreement"

AREAS = {
    "pipelines": Area(
        "python -m pytest -q tests/verify/pipelines/runs.py",
        (
            ".github",
            "deploy/review",
            "src/trimtab/review",
            "tests/integration/review",
            "tests/verify/pipelines",
        ),
    ),
    "azure": Area("python -m tests.verify.azure", ("deploy/azure", "tests/verify/azure.py")),
    "compose": Area(
        "python -m tests.verify.compose",
        (
            "docker-compose.yaml",
            ".dockerignore",
            "deploy/docker",
            "deploy/compose",
            "tests/verify/compose",
        ),
    ),
    "kubernetes": Area(
        "python -m tests.verify.kubernetes",
        ("deploy/kubernetes", "tests/verify/kubernetes.py"),
    ),
    "mongo": Area(
        "python -m tests.verify.mongo",
        ("src/trimtab/predictions", "tests/integration/predictions", "tests/verify/mongo.py"),
    ),
    "year": Area(f"make demo WEEKS=53 && {REPLAYED}", DEMO),
    "weeks": Area(f"make demo && {REPLAYED}", DEMO),
    "drift": Area(
        "python -m tests.verify.drift", (*LOOP, "tests/support/moments.py", "tests/verify/drift.py")
    ),
    "soak": Area(
        "python -m tests.verify.soak",
        (
            "src/trimtab/serve",
            "src/trimtab/ledger",
            "src/trimtab/predictions",
            "src/trimtab/registry",
            "tests/verify/soak",
        ),
    ),
    "mutate": Area(
        "make mutate",
        (
            "src/trimtab/errors.py",
            "src/trimtab/evaluate",
            "src/trimtab/ledger",
            "src/trimtab/loop",
            "src/trimtab/redaction.py",
            "src/trimtab/registry",
            "src/trimtab/serve",
            "src/trimtab/trigger",
            "tests/integration/test_transitions.py",
            "tests/mutation",
            "tests/unit/evaluate",
            "tests/unit/trigger",
            "pyproject.toml",
        ),
    ),
}


def digest(root: Path, paths: Sequence[str]) -> str:
    """Return a hash of the names and contents of all files below `paths` that git does not ignore.

    Contents rather than commits, because the shallow clones of CI lack the older commits.
    """
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z", "--", *paths]
    listing = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    total = hashlib.sha256()
    for name in sorted(set(listing.split("\0"))):
        if (root / name).is_file():
            total.update(f"{name} {hashlib.sha256((root / name).read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()[:16]


def status(root: Path) -> Iterator[str]:
    """Yield a line per area: its newest run, and whether a file that it covers has changed since then."""
    with (root / LOG).open(newline="") as file:
        newest = {row["area"]: row for row in csv.DictReader(file)}
    for name, area in AREAS.items():
        if name in newest:
            row = newest[name]
            state = "current" if row["paths_sha256"] == digest(root, area.paths) else "stale"
            yield f"{name:10}  {state:7}  {row['date']}  {row['commit']}  {row['result']}"
        else:
            yield f"{name:10}  never run"


if __name__ == "__main__":
    print(*status(Path()), sep="\n")
