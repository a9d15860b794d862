"""Facts that are written twice are compared once."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.commands import ROOT_COMMAND, resolves
from trimtab import __version__, errors, params

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


def test_no_parameter_has_a_default_in_the_code() -> None:
    for section in vars(params).values():
        if isinstance(section, type) and issubclass(section, params._Section):
            with_default = [name for name, field in section.model_fields.items() if not field.is_required()]
            assert with_default == [], section


def test_entry_points_are_verbs_and_run_the_checkouts_own_code() -> None:
    for name, entry in PROJECT["entry_points"].items():
        assert entry["command"] == f"OMP_WAIT_POLICY=passive PYTHONPATH=src python -m trimtab {name}"
        assert ROOT_COMMAND.commands[name].hidden


def test_every_dvc_stage_is_an_entry_point_or_the_plan() -> None:
    assert set(DVC["stages"]) == {*PROJECT["entry_points"], "plan"} - {"measure"}
    for name in DVC["stages"].keys() - {"plan"}:
        assert DVC["stages"][name]["cmd"] == f"mlflow run . -e {name} --env-manager ${{train.env_manager}}"


def test_the_loop_runs_the_same_steps_in_one_process() -> None:
    called = ROOT_COMMAND.commands["measure"].callback.__wrapped__.__code__.co_names
    assert set(called) == DVC["stages"].keys() - {"plan"}
    assert '"measure"' in (ROOT / "src/trimtab/loop/measure.py").read_text()


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


def test_the_changelog_begins_with_this_version() -> None:
    heads = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heads[0] == __version__
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text()


def test_every_command_that_the_code_names_exists() -> None:
    suffixes = (".py", ".sh", ".yaml", ".yml", ".html")
    texts = {path: path.read_text() for path in TRACKED if path.suffix in suffixes}
    named = [
        (path.name, words)
        for path, text in texts.items()
        for words in re.findall(r"`trimtab((?: [a-z][a-z-]*)+)", text)
    ]
    assert len(named) > 30
    assert [(name, words) for name, words in named if not resolves(words)] == []


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
            call for call in calls if call.attr in ("now", "utcnow", "today") and _is_datetime(call)
        ], path


NO_SETTINGS = {
    "plugins/trimtab_models.py": "sets the variables of an Airflow task's model, and hides their secrets",
    "src/trimtab/drift/data_drift.py": "turns off the telemetry of a library",
    "src/trimtab/origin/commands.py": "is the environment of git and DVC",
    "src/trimtab/redaction.py": "finds the secrets among all variables",
    "src/trimtab/registry/mlflow_store.py": "sets MLflow's telemetry and time limits",
    "src/trimtab/registry/tracking.py": "sets variables of the MLflow Project's processes",
    "src/trimtab/stack/config.py": "extends PATH and NO_PROXY for the stack",
    "src/trimtab/stack/control.py": "is the environment of the stack",
}
"""Files that use the environment, but read no setting of trimtab from it, and what for."""


def test_only_the_settings_read_the_environment() -> None:
    users = {
        str(path.relative_to(ROOT))
        for path in CODE
        if path.relative_to(ROOT).parts[0] in ("src", "plugins", "dags", "examples")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute | ast.alias)
        and (node.attr if isinstance(node, ast.Attribute) else node.name) in ("environ", "environb", "getenv")
    }
    assert users == {"src/trimtab/settings.py", *NO_SETTINGS}
    others = [key for file in NO_SETTINGS for key in _keys_read(ast.parse((ROOT / file).read_text()))]
    assert set(others) == {"'PATH'", "'NO_PROXY'"}


def _keys_read(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case (
                ast.Subscript(value=ast.Attribute(attr="environ"), slice=key, ctx=ast.Load())
                | ast.Call(
                    func=ast.Attribute(value=ast.Attribute(attr="environ"), attr="get"), args=[key, *_]
                )
                | ast.Compare(
                    left=key, ops=[ast.In() | ast.NotIn()], comparators=[ast.Attribute(attr="environ")]
                )
            ):
                yield ast.unparse(key)


def _is_datetime(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("datetime", "date", "pd", "Timestamp")


def test_models_are_loaded_through_registry_load_only() -> None:
    for path in CODE:
        if path.parts[-2:] != ("registry", "load.py"):
            # XGBoost's own method of this name may take the bytes of a model that this process has just fitted.
            assert not re.search(
                r"\bload_model\((?!bytearray\(fitted\.get_booster\()", path.read_text()
            ), path


@pytest.mark.parametrize("path", TRACKED, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_large_or_names_a_machine(path: Path) -> None:
    assert path.stat().st_size < 5_000_000
    text = path.read_text(errors="replace")
    assert not re.search(r"(?<![A-Za-z0-9_.$}])/(root|home)/[a-z]", text)
    assert not re.search(r"BEGIN (RSA |EC |OPENSSH )?PRIVATE KEY|AKIA[0-9A-Z]{16}", text)
    hosts = ("files." + "pythonhosted", "pypi." + "org", "registry." + "npmjs", "deb." + "debian")
    assert not [host for host in hosts if host in text]
