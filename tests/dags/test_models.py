"""One Airflow of many models: the DAGs of each, and what is told of a folder that is wrong."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.dags.conftest import FOLDER
from tests.dags.test_policy import _wakers
from tests.dags.test_shapes import _shape

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write files into the folder that `TRIMTAB_MODELS` names."""
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv("TRIMTAB_MODELS", str(folder))

    def written(**files: str) -> Path:
        for name, text in files.items():
            (folder / f"{name}.env").write_text(text)
        return folder

    return written


def _two(write: Write) -> Path:
    return write(
        delay="# the first\n\nTRIMTAB_HOME=/srv/delay\nTRIMTAB_BACKUPS=/delay\n",
        late="TRIMTAB_HOME = /srv/late\nTRIMTAB_BACKUPS=/late\nTRIMTAB_TRAINING_POD_TEMPLATE=/large.yaml\n",
    )


def test_each_model_has_every_dag_with_the_tasks_that_a_single_model_has(bag, dags, write):
    _two(write)
    many = type(bag)(str(FOLDER))
    assert many.import_errors == {}
    assert set(many.dags) == {f"{name}.{model}" for name in dags for model in ("delay", "late")}
    for name, dag in many.dags.items():
        alone = dags[name.partition(".")[0]]
        assert (_shape(dag), dag.doc_md) == (_shape(alone), alone.doc_md)
        assert set(dag.tags) == {*alone.tags, f"model/{name.partition('.')[2]}"}


def test_assets_pods_and_nightly_backups_are_of_one_model_each(bag, write):
    _two(write)
    many = type(bag)(str(FOLDER)).dags
    assert len(many) == 14
    for name, dag in many.items():
        kind, _, model = name.partition(".")
        assets = _wakers(dag) | {outlet.uri for task in dag.tasks for outlet in task.outlets}
        assert all(uri.startswith(f"trimtab://{model}/") for uri in assets), name
        assert bool(assets) == (kind not in ("back_up_stores", "gather_batches")), name
        pods = {task.task_id for task in dag.tasks if task.executor_config}
        own = {"monitor_model.late": {"measure"}, "retrain_model.late": {"fit"}}
        assert pods == own.get(name, set())
    nights = {model: many[f"back_up_stores.{model}"].timetable.expression for model in ("delay", "late")}
    assert nights == {"delay": "15 3 * * *", "late": "35 3 * * *"}


def test_what_is_stored_of_a_dag_holds_no_setting(bag, write):
    from airflow.serialization.serialized_objects import DagSerialization

    # pragma: allowlist nextline secret
    write(delay="TRIMTAB_LEDGER_URL=postgresql://somebody:hunter2@db/ledger\n")
    dag = type(bag)(str(FOLDER)).dags["ingest_batch.delay"]
    assert "hunter2" not in f"{DagSerialization.to_dict(dag)} {dag.default_args} {dag.tasks}"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "expected a folder with a NAME.env for each model, got none"),
        (
            {"a": "TRIMTAB_HOME\n"},
            "a.env:1: expected KEY=VALUE, without quotes, got 'TRIMTAB_HOME' without a value",
        ),
        (
            {"a": "#\nTRIMTAB_HOME=\n"},
            "a.env:2: expected KEY=VALUE, without quotes, got 'TRIMTAB_HOME' without",
        ),
        (
            {"a": "TRIMTAB_HOME='/a'\n"},
            "a.env:1: expected KEY=VALUE, without quotes, got 'TRIMTAB_HOME' with a quote",
        ),
        (
            {"a": "export TRIMTAB_HOME=/a\n"},
            "a.env:1: expected a TRIMTAB_ or MLFLOW_ variable of one model, got 'exp",
        ),
        ({"a": "PATH=/a\n"}, "a.env:1: expected a TRIMTAB_ or MLFLOW_ variable of one model, got 'PATH'"),
        ({"a": "TRIMTAB_ALERTS_TOKEN=a\n"}, "of one model, got 'TRIMTAB_ALERTS_TOKEN'"),
        (
            {"a": "TRIMTAB_HOME=/a\nTRIMTAB_HOME=/b\n"},
            "a.env:2: expected TRIMTAB_HOME once, got it again after line 1",
        ),
        (
            {"a b": ""},
            "a b.env: expected a name of letters, digits, '_', '-' and '.', as Airflow's DAG ids take, got 'a b'",
        ),
        ({"a": "TRIMTAB_MODEL=a/b\n"}, "a.env:1: expected a name of letters"),
        ({"": ""}, "models/.env: expected a name of letters"),
        (
            {"a": "TRIMTAB_HOME=/a\n", "b": "TRIMTAB_HOME=/b\nTRIMTAB_MODEL=a\n"},
            "b.env:2: expected a TRIMTAB_MODEL of",
        ),
        ({"a": "", "b": ""}, "b.env: expected a TRIMTAB_HOME of its own, got that of "),
        (
            {"a": "TRIMTAB_HOME=/a\n", "b": "TRIMTAB_HOME=/a/../a/\n"},
            "b.env:1: expected a TRIMTAB_HOME of its own, got",
        ),
        *(
            (
                {name: f"TRIMTAB_HOME=/{name}\n{variable}=/same\n" for name in ("a", "b")},
                f"b.env:2: expected a {variable} of its own, got that of ",
            )
            for variable in (
                "TRIMTAB_ORIGIN_URL",
                "TRIMTAB_LANDING",
                "TRIMTAB_DVC_REMOTE_URL",
                "TRIMTAB_BACKUPS",
            )
        ),
        (
            {
                # pragma: allowlist nextline secret
                name: f"TRIMTAB_HOME=/{name}\nTRIMTAB_ORIGIN_URL=https://u:hunter2@h/o\n"
                for name in ("a", "b")
            },
            "a.env: https://h/o. Fix it: until then no model runs.",
        ),
    ],
)
def test_a_wrong_folder_is_an_import_error_that_names_the_place(bag, write, files, said):
    write(**files)
    loaded = type(bag)(str(FOLDER))
    assert (loaded.dags, set(loaded.import_errors)) == ({}, {str(path) for path in FOLDER.glob("*.py")})
    for error in loaded.import_errors.values():
        assert said in error
        assert "hunter2" not in error.splitlines()[-1]


def test_a_store_that_the_environment_gives_to_all_is_refused_where_each_needs_its_own(
    bag, write, monkeypatch
):
    import trimtab_models

    _two(write)
    monkeypatch.setenv("TRIMTAB_LANDING", "/srv/landing")
    with pytest.raises(trimtab_models.ModelsError, match="late.env: expected a TRIMTAB_LANDING of its own"):
        trimtab_models.models()


def test_a_missing_folder_and_a_file_that_cannot_be_read_are_told(bag, write, monkeypatch):
    import trimtab_models

    write(a="").joinpath("a.env").write_bytes(b"\xff")
    with pytest.raises(
        trimtab_models.ModelsError, match="expected files that can be read, got 'utf-8' codec"
    ):
        trimtab_models.models()
    monkeypatch.setenv("TRIMTAB_MODELS", "/nowhere")
    with pytest.raises(trimtab_models.ModelsError, match="expected a folder with a NAME.env for each model"):
        trimtab_models.models()


def test_a_task_enters_the_settings_of_its_model_before_it_executes(bag, write, monkeypatch):
    _two(write)
    monkeypatch.setenv("TRIMTAB_HOME", "/srv/shared")
    monkeypatch.setattr(os, "environ", dict(os.environ))
    dags: dict[str, Any] = type(bag)(str(FOLDER)).dags
    for model in ("late", "delay"):
        for task in dags[f"ingest_batch.{model}"].tasks:
            hook = task.partial_kwargs["pre_execute"] if task.is_mapped else task._pre_execute_hook
            hook({})
            assert (os.environ["TRIMTAB_HOME"], os.environ["TRIMTAB_MODEL"]) == (f"/srv/{model}", model)


def test_a_task_hides_the_secrets_of_its_model(bag, write, monkeypatch):
    from airflow.sdk._shared.secrets_masker import redact

    # pragma: allowlist nextline secret
    write(delay="TRIMTAB_LEDGER_URL=postgresql://somebody:hunter%402@db/ledger\n")
    monkeypatch.setattr(os, "environ", dict(os.environ))
    task = type(bag)(str(FOLDER)).dags["ingest_batch.delay"].tasks[0]
    task._pre_execute_hook({})
    assert redact("somebody:hunter%402@db, password hunter@2") == "somebody:***@db, password ***"
