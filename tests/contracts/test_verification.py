"""A row of the verification log speaks for the code as it is now, or is refused."""

import re
import subprocess
from pathlib import Path

from tests.verify.areas import AREAS, digest

ROOT = Path(__file__).parents[2]
ROWS = re.findall(
    r"^\| (\d{4}-\d\d-\d\d) \| ([0-9a-f]{7,40}) \| (\w+) \| (.+?) \| [0-9a-f]{16} \| ([0-9a-f]{16}) \|",
    (ROOT / "docs" / "verification.md").read_text(),
    re.MULTILINE,
)


def test_the_newest_row_of_each_area_is_of_the_code_as_it_is() -> None:
    newest = {area: (commit, result, covered) for _, commit, area, result, covered in ROWS}
    assert newest
    for area, (commit, result, covered) in newest.items():
        assert result.startswith("passed"), area
        now = digest(ROOT, AREAS[area].paths)
        assert (
            covered == now
        ), f"{area} was verified at {commit}; its paths changed since then. Run make verify AREA={area}"


def test_a_changed_byte_and_a_new_file_change_the_digest(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text("secrets\n")
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "one.py").write_text("1")
    first = digest(tmp_path, ["dags"])
    (tmp_path / "dags" / "one.py").write_text("2")
    second = digest(tmp_path, ["dags"])
    (tmp_path / "dags" / "two.py").write_text("")
    third = digest(tmp_path, ["dags"])
    assert len({first, second, third}) == 3
    (tmp_path / "dags" / "secrets").write_text("made by a run, and ignored by git")
    assert digest(tmp_path, ["dags"]) == third


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
