"""The shape of each DAG, as a literal."""

from datetime import datetime, timedelta

import pytest

from tests.dags.conftest import FOLDER


def _shape(dag):
    return {task.task_id: task.downstream_task_ids for task in dag.tasks}


def test_gathering_and_backing_up_are_one_task_each(dags):
    assert _shape(dags["gather_batches"]) == {"gather": set()}
    assert _shape(dags["back_up_stores"]) == {"back_up": set()}


def test_ingest_lists_takes_each_batch_and_announces(dags):
    assert _shape(dags["ingest_batch"]) == {
        "list_landed": {"ingest"},
        "ingest": {"announce"},
        "announce": set(),
    }


def test_monitoring_mends_finds_measures_assesses_and_wakes(dags):
    assert _shape(dags["monitor_model"]) == {
        "reconcile": {"find_unmeasured", "find_unobserved"},
        "find_unmeasured": {"measure"},
        "find_unobserved": {"observe"},
        "measure": {"assess", "fail_if_one_failed"},
        "observe": {"assess", "fail_if_one_failed"},
        "assess": {"wake"},
        "wake": set(),
        "fail_if_one_failed": set(),
    }


def test_retraining_stops_at_the_arbiter_or_goes_through_to_the_end(dags):
    assert _shape(dags["retrain_model"]) == {
        "arbitrate": {"fit", "ask", "deploy"},
        "fit": {"ask"},
        "ask": {"wait_for_answer"},
        "wait_for_answer": {"deploy"},
        "deploy": {"close"},
        "close": set(),
    }


def test_the_sweep_mends_and_wakes_whom_an_event_should_have_woken(dags):
    assert _shape(dags["sweep"]) == {
        "reconcile": {"waiting"},
        "waiting": {"wake_monitor", "wake_retrain"},
        "wake_monitor": set(),
        "wake_retrain": set(),
    }


def test_a_rollback_mends_first(dags):
    assert _shape(dags["rollback_model"]) == {"reconcile": {"rollback"}, "rollback": set()}


def test_batches_are_taken_in_and_observed_one_task_each(dags):
    mapped = {task.task_id for dag in dags.values() for task in dag.tasks if task.is_mapped}
    assert mapped == {"ingest", "observe"}
    assert dags["ingest_batch"].get_task("ingest").partial_kwargs["max_active_tis_per_dagrun"] == 2


def test_assessing_goes_on_after_a_batch_that_cannot_be_measured_and_the_run_fails_all_the_same(dags):
    tasks = dags["monitor_model"].task_dict
    assert tasks["assess"].trigger_rule == "all_done"
    assert tasks["fail_if_one_failed"].trigger_rule == "one_failed"


def test_each_event_comes_from_one_kind_of_task(dags):
    outlets = {
        (dag.dag_id, task.task_id): [asset.uri for asset in task.outlets]
        for dag in dags.values()
        for task in dag.tasks
        if task.outlets
    }
    assert outlets == {
        ("ingest_batch", "announce"): ["trimtab://demand/batches"],
        ("monitor_model", "wake"): ["trimtab://demand/requests"],
        ("retrain_model", "deploy"): ["trimtab://demand/champion"],
        ("rollback_model", "rollback"): ["trimtab://demand/champion"],
        ("sweep", "wake_monitor"): ["trimtab://demand/batches"],
        ("sweep", "wake_retrain"): ["trimtab://demand/requests"],
    }


def test_each_dag_has_its_time(dags):
    times = {
        name: getattr(getattr(dag.timetable, "timetable", dag.timetable), "expression", None)
        for name, dag in dags.items()
    }
    assert times == {
        "back_up_stores": None,
        "gather_batches": "25 * * * *",
        "ingest_batch": "*/10 * * * *",
        "monitor_model": "0 * * * *",
        "retrain_model": "0 6 * * MON",
        "rollback_model": None,
        "sweep": "*/10 * * * *",
    }


@pytest.mark.parametrize(
    ("name", "due", "next_due"),
    [
        ("back_up_stores", "2026-11-30T03:15Z", "2026-12-01T03:15Z"),
        ("retrain_model", "2026-11-30T06:00Z", "2026-12-07T06:00Z"),
    ],
)
def test_a_new_airflow_waits_for_the_next_time(bag, monkeypatch, name, due, next_due):
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.timetables.base import TimeRestriction

    monkeypatch.setenv("TRIMTAB_BACKUPS", "/backups")
    stored = DagSerialization.from_dict(DagSerialization.to_dict(type(bag)(str(FOLDER)).dags[name]))
    now = datetime.fromisoformat(due) + timedelta(hours=1)
    monkeypatch.setattr("airflow.timetables.trigger.utcnow", lambda: now)
    first = stored.timetable.next_dagrun_info(
        last_automated_data_interval=None,
        restriction=TimeRestriction(earliest=None, latest=None, catchup=False),
    )
    assert first.run_after == datetime.fromisoformat(next_due)


def test_what_the_environment_names_sets_the_nightly_backup_and_the_pods_of_a_training(
    bag, dags, monkeypatch
):
    assert not any(task.executor_config for dag in dags.values() for task in dag.tasks)
    monkeypatch.setenv("TRIMTAB_BACKUPS", "/backups")
    monkeypatch.setenv("TRIMTAB_TRAINING_POD_TEMPLATE", "/etc/trimtab/training-pod.yaml")
    again = type(bag)(str(FOLDER)).dags
    assert again["back_up_stores"].timetable.expression == "15 3 * * *"
    own = {
        task.task_id: task.executor_config
        for dag in again.values()
        for task in dag.tasks
        if task.executor_config
    }
    pod = {"pod_template_file": "/etc/trimtab/training-pod.yaml"}
    assert own == {"measure": pod, "fit": pod}
