"""The shape of each DAG, as a literal."""


def _shape(dag):
    return {task.task_id: task.downstream_task_ids for task in dag.tasks}


def test_gathering_is_one_task(dags):
    assert _shape(dags["gather_batches"]) == {"gather": set()}


def test_ingest_lists_takes_each_batch_and_announces(dags):
    assert _shape(dags["ingest_batch"]) == {
        "list_landed": {"ingest"},
        "ingest": {"announce"},
        "announce": set(),
    }


def test_monitoring_mends_finds_measures_each_assesses_and_wakes(dags):
    assert _shape(dags["monitor_model"]) == {
        "reconcile": {"find_unmonitored"},
        "find_unmonitored": {"measure"},
        "measure": {"assess"},
        "assess": {"wake"},
        "wake": set(),
    }


def test_retraining_stops_at_the_arbiter_or_goes_through_to_the_end(dags):
    assert _shape(dags["retrain_model"]) == {
        "arbitrate": {"checkout", "prepare", "train", "evaluate", "refit", "ask", "conclude"},
        "checkout": {"prepare"},
        "prepare": {"train"},
        "train": {"evaluate"},
        "evaluate": {"refit"},
        "refit": {"ask"},
        "ask": {"wait_for_answer"},
        "wait_for_answer": {"conclude"},
        "conclude": set(),
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


def test_batches_are_taken_and_measured_one_task_each(dags):
    mapped = {task.task_id for dag in dags.values() for task in dag.tasks if task.is_mapped}
    assert mapped == {"ingest", "measure"}
    assert dags["ingest_batch"].get_task("ingest").partial_kwargs["max_active_tis_per_dagrun"] == 2


def test_assessing_goes_on_when_there_was_nothing_to_measure(dags):
    assert dags["monitor_model"].get_task("assess").trigger_rule == "none_failed"


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
        ("retrain_model", "conclude"): ["trimtab://demand/champion"],
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
        "gather_batches": "25 * * * *",
        "ingest_batch": "*/10 * * * *",
        "monitor_model": "0 * * * *",
        "retrain_model": "0 6 * * MON",
        "rollback_model": None,
        "sweep": "*/10 * * * *",
    }
