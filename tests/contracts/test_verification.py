"""A row of the verification log speaks for the code as it is now, or is refused."""

import re
import subprocess
from pathlib import Path

from tests.verify.areas import AREAS

ROOT = Path(__file__).parents[2]
ROWS = re.findall(
    r"^\| (\d{4}-\d\d-\d\d) \| ([0-9a-f]{7,40}) \| (\w+) \| (.+?) \| ([0-9a-f]{16}) \|",
    (ROOT / "docs" / "verification.md").read_text(),
    re.MULTILINE,
)


def git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_newest_row_of_each_area_is_of_the_code_as_it_is() -> None:
    newest = {area: (commit, result) for _, commit, area, result, _ in ROWS}
    for area, (commit, result) in newest.items():
        assert result.startswith("passed"), area
        changed = git("diff", "--name-only", commit, "HEAD", "--", *AREAS[area].paths)
        assert (
            changed == ""
        ), f"{area} was verified at {commit}; since then: {changed}. Run make verify AREA={area}"


def test_every_system_of_the_mission_has_a_row() -> None:
    page = (ROOT / "docs" / "verification.md").read_text()
    for system in (
        "Airflow", "MLflow", "DVC", "Evidently", "scikit-learn", "Flask", "gunicorn", "MongoDB", "Prometheus",
        "Alertmanager", "Git", "Make", "flake8", "pytest", "Docker", "Compose", "Docker Hub", "GitHub Actions",
        "Jenkins", "Kubernetes", "Azure",
    ):  # fmt: skip
        assert re.search(rf"^\| .*{system}", page, re.MULTILINE), system


def test_every_area_covers_paths_that_exist() -> None:
    for area in AREAS.values():
        assert all((ROOT / path).exists() for path in area.paths)
