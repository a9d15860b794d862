"""The areas: what each runs, and which paths its result speaks for."""

import hashlib
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """One area; the result is stale once a covered path changed after it."""

    command: tuple[str, ...]
    paths: tuple[str, ...]


LOOP = (
    "src/trimtab/contracts.py",
    "src/trimtab/params.py",
    "src/trimtab/data",
    "src/trimtab/drift",
    "src/trimtab/train",
    "src/trimtab/evaluate",
    "src/trimtab/ledger",
    "src/trimtab/registry",
    "src/trimtab/trigger",
    "src/trimtab/loop",
    "src/trimtab/project",
    "src/trimtab/stack",
    "examples",
    "dags",
    "params.yaml",
    "MLproject",
    "requirements.txt",
)
"""What decides the figures of a demo; the service, the prediction log and the pages only have to be there."""

MUTATED = (
    "src/trimtab/evaluate",
    "src/trimtab/registry/reconcile.py",
    "src/trimtab/registry/transitions.py",
    "src/trimtab/trigger/arbiter.py",
    "tests/integration/test_transitions.py",
    "tests/mutation",
    "tests/unit/evaluate",
    "tests/unit/trigger",
    "pyproject.toml",
)

LOG = (
    "src/trimtab/predictions",
    "tests/integration/predictions",
    "tests/support/predictions.py",
    "tests/verify/mongo.py",
)

SOAK = ("src/trimtab/serve", "src/trimtab/predictions", "src/trimtab/registry", "tests/verify/soak")

CONTAINERS = (
    "docker-compose.yaml",
    ".dockerignore",
    "deploy/docker",
    "deploy/compose",
    "tests/verify/compose",
)

PIPELINES = (
    ".github",
    "deploy/review",
    "src/trimtab/review",
    "tests/integration/review",
    "tests/verify/pipelines",
)

AREAS = {
    "pipelines": Area(
        command=("python", "-m", "pytest", "-q", "tests/verify/pipelines/runs.py"), paths=PIPELINES
    ),
    "azure": Area(
        command=("python", "-m", "tests.verify.azure"), paths=("deploy/azure", "tests/verify/azure.py")
    ),
    "compose": Area(command=("python", "-m", "tests.verify.compose"), paths=CONTAINERS),
    "kubernetes": Area(
        command=("python", "-m", "tests.verify.kubernetes"),
        paths=("deploy/kubernetes", "tests/verify/kubernetes.py"),
    ),
    "mongo": Area(command=("python", "-m", "tests.verify.mongo"), paths=LOG),
    "year": Area(command=("make", "demo"), paths=LOOP),
    "weeks": Area(command=("make", "demo", "WEEKS=20"), paths=LOOP),
    "soak": Area(command=("python", "-m", "tests.verify.soak"), paths=SOAK),
    "mutate": Area(command=("make", "mutate"), paths=MUTATED),
}


def digest(root: Path, paths: Sequence[str]) -> str:
    """Return a hash of the files below the given paths that git tracks, or would: names and bytes.

    A commit would not do: a shallow clone, as pipelines make it, does not have it. What git ignores (the secrets that a run of
    Compose makes) is of the machine, and not of the code.
    """
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z", *paths]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.split("\0")
    known, found = {root / name for name in listed}, hashlib.sha256()
    for name in paths:
        for file in sorted([root / name, *(root / name).rglob("*")]):
            if file in known and file.is_file():
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                found.update(f"{file.relative_to(root).as_posix()} {content}\n".encode())
    return found.hexdigest()[:16]
