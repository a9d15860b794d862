"""What holds of every DAG, also of the next."""

import importlib.util
import subprocess
import sys
from datetime import timedelta

from tests.dags.conftest import FOLDER

HEAVY = ("trimtab", "mlflow", "sklearn", "evidently", "dvc", "pandera")


def test_every_file_imports_and_holds_the_dag_of_its_name(bag):
    assert bag.import_errors == {}
    assert set(bag.dags) == {path.stem for path in FOLDER.glob("*.py")}


def test_every_task_has_an_owner_a_limit_and_a_second_try(dags):
    for task in (task for dag in dags.values() for task in dag.tasks):
        assert task.owner == "trimtab", task
        asks = task.task_id == "wait_for_answer"  # the question brings its limit with it
        assert (task.execution_timeout is None) == asks, task
        retries = 0 if task.task_id == "fail_if_one_failed" else 2  # it has nothing to try again
        assert (task.retries, task.retry_delay) == (retries, timedelta(seconds=30)), task


def test_every_dag_says_its_impact_once(dags):
    for dag in dags.values():
        assert len([tag for tag in dag.tags if tag.startswith("impact/tier_")]) == 1, dag
        assert "trimtab" in dag.tags


def test_every_dag_tells_what_a_red_task_means(dags):
    for dag in dags.values():
        assert "*Triage*" in dag.doc_md, dag
        assert "clear" in dag.doc_md, dag


def test_no_dag_makes_up_for_missed_times(dags):
    assert {name: dag.catchup for name, dag in dags.items()} == dict.fromkeys(dags, False)


def test_every_asset_that_wakes_a_dag_has_a_producer(dags):
    produced = {outlet.uri for dag in dags.values() for task in dag.tasks for outlet in task.outlets}
    wakers = {name: _wakers(dag) for name, dag in dags.items() if _wakers(dag)}
    assert wakers == {
        "monitor_model": {"trimtab://demand/batches"},
        "retrain_model": {"trimtab://demand/requests"},
    }
    assert set.union(*wakers.values()) <= produced


def test_a_dag_that_an_asset_wakes_may_run_twice_at_once(dags):
    # Airflow loses asset events of a DAG with one active run (apache/airflow#56050).
    woken = {name: dag.max_active_runs for name, dag in dags.items() if _wakers(dag)}
    assert woken == {"monitor_model": 4, "retrain_model": 4}


def test_no_file_hides_a_package_of_its_name():
    for path in FOLDER.glob("*.py"):
        spec = importlib.util.find_spec(path.stem)
        assert spec is None or spec.origin == str(path)


def test_parsing_imports_nothing_heavy(tmp_path):
    code = (
        "import sys; from airflow.dag_processing.dagbag import DagBag; import airflow.sdk; before = set(sys.modules);"
        f" assert len(DagBag({str(FOLDER)!r}).dags) == {len(list(FOLDER.glob('*.py')))};"
        f" print(*(name for name in set(sys.modules) - before if name.partition('.')[0] in {HEAVY!r}))"
    )
    settings = {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PATH": "",
        "PYTHONPATH": str(FOLDER.parent / "plugins"),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=settings, capture_output=True, text=True, check=True
    )
    # The settings say which models there are; they import nothing else but pydantic.
    light = {"trimtab", "trimtab.settings", "trimtab.errors", "trimtab.redaction"}
    assert set(done.stdout.splitlines()[-1].split()) <= light


def test_a_file_imports_of_airflow_only_its_authoring_interface():
    for path in FOLDER.glob("*.py"):
        imports = [line for line in path.read_text().splitlines() if "import" in line and "airflow" in line]
        assert all(line.startswith("from airflow.sdk") for line in imports), path


def _wakers(dag):
    condition = getattr(dag.timetable, "asset_condition", None)
    return {asset.uri for asset in _assets(condition)} if condition else set()


def _assets(condition):
    parts = getattr(condition, "objects", None)
    return [condition] if parts is None else [asset for part in parts for asset in _assets(part)]
