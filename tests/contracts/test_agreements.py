"""Facts that are written twice are compared once."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.core import TyperGroup
from typer.main import get_command

from trimtab import __version__, errors, params
from trimtab.cli import app

ROOT = Path(__file__).parents[2]
TRACKED = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    .stdout.rstrip("\0")
    .split("\0")
    if (ROOT / name).is_file()
]
CODE = [path for path in TRACKED if path.suffix == ".py"]
PROJECT = yaml.safe_load((ROOT / "MLproject").read_text())
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text())


COMMANDS = get_command(app)


def resolves(words: str) -> bool:
    """Whether words begin with a command, or a group of commands."""
    command = COMMANDS
    for word in words.split():
        if not isinstance(command, TyperGroup):
            return True
        if word not in command.commands:
            return False
        command = command.commands[word]
    return True


def test_no_parameter_has_a_default_in_the_code() -> None:
    for section in vars(params).values():
        if isinstance(section, type) and issubclass(section, params._Section):
            with_default = [name for name, field in section.model_fields.items() if not field.is_required()]
            assert with_default == [], section


def test_entry_points_are_verbs_and_run_the_checkouts_own_code() -> None:
    for name, entry in PROJECT["entry_points"].items():
        assert entry["command"] == f"PYTHONPATH=src python -m trimtab {name}"
        assert isinstance(COMMANDS, TyperGroup)
        assert COMMANDS.commands[name].hidden


def test_every_decision_says_what_violates_it() -> None:
    adrs = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [int(path.name[:4]) for path in adrs] == list(range(1, len(adrs) + 1))
    assert len(adrs) > 10
    for path in adrs:
        before, _, rules = path.read_text().partition("\n## A change violates this when it\n\n")
        assert "## Why" in before and "## Decision" in before, path
        assert all(line.startswith("- ") for line in rules.splitlines()) and rules, path


def test_every_dvc_stage_is_an_entry_point_or_the_plan() -> None:
    assert set(DVC["stages"]) == {*PROJECT["entry_points"], "plan"}
    for name in PROJECT["entry_points"]:
        assert DVC["stages"][name]["cmd"] == f"mlflow run . -e {name} --env-manager ${{train.env_manager}}"


def test_the_retraining_dag_runs_the_same_entry_points() -> None:
    text = (ROOT / "src/trimtab/loop/retrain.py").read_text()
    assert set(re.findall(r'_project\(.*"(\w+)"\)', text)) == set(PROJECT["entry_points"])


def test_every_dvc_parameter_is_in_params_yaml() -> None:
    content = yaml.safe_load((ROOT / params.FILE).read_text())
    for stage in DVC["stages"].values():
        for key in stage.get("params", []):
            place = content
            for part in key.split("."):
                place = place[part]


def test_an_image_holds_what_the_tests_ran_with() -> None:
    lock = pinned(ROOT / "requirements.txt")
    images = sorted((ROOT / "deploy" / "docker").glob("*.txt"))
    assert [path.stem for path in images] == ["airflow", "mlflow", "serve", "trainer"]
    for path in images:
        assert pinned(path) and pinned(path) <= lock, path.name


def pinned(path: Path) -> set[str]:
    return set(re.findall(r"^[a-z0-9].*?==[^ ;]+", path.read_text(), re.MULTILINE))


def test_conda_pins_are_the_locks() -> None:
    pins = re.findall(r"^\s+- ([a-z0-9-]+)==(\S+)$", (ROOT / "conda.yaml").read_text(), re.MULTILINE)
    lock = (ROOT / "requirements.txt").read_text()
    assert len(pins) > 10
    for name, version in pins:
        assert re.search(rf"^{re.escape(name)}=={re.escape(version)}( |$)", lock, re.MULTILINE), name


def test_the_lock_pins_by_hash_and_names_no_host() -> None:
    for path in (*ROOT.glob("requirements*.txt"), *ROOT.glob("deploy/docker/*.txt")):
        lock = path.read_text()
        assert "://" not in lock, path.name
        assert lock.count("--hash=sha256:") >= lock.count("=="), path.name


def test_every_make_target_that_the_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in ("README.md", "CONTRIBUTING.md", "docs/operations.md", "docs/policy.md", "data/README.md"):
        named = set(re.findall(r"`make ([a-z0-9-]+)", (ROOT / page).read_text()))
        named |= set(re.findall(r"^make ([a-z0-9-]+)", (ROOT / page).read_text(), re.MULTILINE))
        assert named <= targets, page


def test_every_command_that_a_text_names_exists() -> None:
    suffixes = (".md", ".py", ".sh", ".yaml", ".yml", ".html")
    texts = {
        path: path.read_text() for path in TRACKED if path.suffix in suffixes and path.name != "CHANGELOG.md"
    }
    named = {
        (path, words)
        for path, text in texts.items()
        for words in re.findall(r"`trimtab((?: [a-z][a-z-]*)+)", text)
    }
    assert len(named) > 50
    assert not [(str(path), words) for path, words in named if not resolves(words)]


def test_the_generated_pages_are_current(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "docs/generate.py", str(tmp_path)], cwd=ROOT, check=True)
    pages = sorted(tmp_path.iterdir())
    assert pages
    for page in pages:
        current = (ROOT / "docs" / "reference" / page.name).read_text()
        assert current == page.read_text(), f"docs/reference/{page.name} is stale. Run make docs."


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 150


def test_the_changelog_begins_with_this_version() -> None:
    heads = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heads[0] == __version__
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text()


def test_every_error_is_drawn_in_the_tree() -> None:
    kinds = [
        name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)
    ]
    for name in kinds:
        assert re.search(rf"\b{name}\b", errors.__doc__ or ""), name


def test_only_the_clock_reads_the_clock() -> None:
    for path in CODE:
        if path.name == "clock.py" or "tests" in path.parts:
            continue
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
        assert not [
            one for one in calls if one.attr in ("now", "utcnow", "today") and _is_datetime(one)
        ], path


def _is_datetime(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("datetime", "date", "pd", "Timestamp")


def test_models_are_loaded_through_registry_load_only() -> None:
    for path in CODE:
        if path.parts[-2:] != ("registry", "load.py"):
            # XGBoost's own method of this name may take the bytes of a model that this process has just fitted.
            assert not re.search(r"\bload_model\((?!bytearray\(fitted\.)", path.read_text()), path


@pytest.mark.parametrize("path", TRACKED, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_large_or_names_a_machine(path: Path) -> None:
    assert path.stat().st_size < 5_000_000
    text = path.read_text(errors="replace")
    assert not re.search(r"(?<![A-Za-z0-9_.$}])/(root|home)/[a-z]", text)
    assert not re.search(r"BEGIN (RSA |EC |OPENSSH )?PRIVATE KEY|AKIA[0-9A-Z]{16}", text)
    hosts = ("files." + "pythonhosted", "pypi." + "org", "registry." + "npmjs", "deb." + "debian")
    assert not [host for host in hosts if host in text]
