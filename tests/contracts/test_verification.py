"""The verification log is readable, its areas cover real files, and a change to one of them makes a result stale."""

import csv
import re
import subprocess
from pathlib import Path

from tests.verify.areas import AREAS, COLUMNS, LOG, digest, status

ROOT = Path(__file__).parents[2]


def test_each_row_of_the_log_is_a_run_of_a_known_area() -> None:
    header, *rows = csv.reader((ROOT / LOG).read_text().splitlines())
    assert header == COLUMNS
    assert rows
    for row in rows:
        line = (
            r"\d{4}-\d\d-\d\d,[0-9a-f]{12},(\w+),(passed|failed \(-?\d+\)) in \d+\.\d min(,[0-9a-f]{16}){2}"
        )
        match = re.fullmatch(line, ",".join(row))
        assert match and match[1] in AREAS, row


def test_a_changed_byte_or_a_new_file_makes_an_area_stale(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    for name in ("dags/daily.py", "src/trimtab/serve/app.py", "src/trimtab/clock.py", "docs/index.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    (tmp_path / ".gitignore").write_text("ignored\n")
    row = ["2026-01-05", "0123456789ab", "year", "passed in 29.0 min", "0" * 16]
    rows = [COLUMNS, [*row, digest(tmp_path, AREAS["year"].paths)]]
    (tmp_path / LOG).write_text("\n".join(",".join(row) for row in rows))

    def year() -> str:
        (line,) = [line for line in status(tmp_path) if line.startswith("year ")]
        return line

    for name in ("dags/ignored", "src/trimtab/serve/app.py"):
        (tmp_path / name).write_text("2")
        assert year().split() == ["year", "current", *row[:2], *row[3].split()]
    for name in ("dags/daily.py", "src/trimtab/new.py"):
        (tmp_path / name).write_text("2")
        assert "stale" in year()
        (tmp_path / name).write_text("1")


def test_every_system_of_the_mission_has_a_row() -> None:
    page = (ROOT / "docs" / "verification.md").read_text()
    for system in (
        "Airflow", "MLflow", "DVC", "Evidently", "scikit-learn", "Flask", "granian", "MongoDB", "Prometheus",
        "Alertmanager", "Git", "Make", "flake8", "pytest", "Docker", "Compose", "Docker Hub", "GitHub Actions",
        "Jenkins", "Kubernetes", "Azure",
    ):  # fmt: skip
        assert re.search(rf"^\| .*{system}", page, re.MULTILINE), system


def test_every_area_covers_paths_that_exist() -> None:
    for name, area in AREAS.items():
        missing = [path for path in area.paths if not (ROOT / path.removeprefix(":!")).exists()]
        assert missing == [], name
