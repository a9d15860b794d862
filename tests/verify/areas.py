"""The areas: what each runs, and which paths its result speaks for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """One area; the result is stale once a covered path changed after it."""

    command: tuple[str, ...]
    paths: tuple[str, ...]


LOOP = ("src/trimtab", "dags", "params.yaml", "MLproject", "requirements.txt")

AREAS = {
    "year": Area(command=("make", "demo"), paths=LOOP),
    "weeks": Area(command=("make", "demo", "WEEKS=20"), paths=LOOP),
}
