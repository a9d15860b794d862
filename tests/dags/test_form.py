"""The forms that a person fills in on Airflow's page."""

import pytest


def _schemas(dag):
    return {name: dag.params.get_param(name).schema for name in dag.params}


def test_the_retraining_form_has_four_typed_fields(dags):
    assert _schemas(dags["retrain_model"]) == {
        "reason": {"type": "string", "title": "Reason"},
        "window_batches": {"type": ["null", "integer"], "minimum": 1, "title": "Training window"},
        "force": {"type": "boolean", "title": "Force"},
        "dry_run": {"type": "boolean", "title": "Dry run"},
    }


def test_a_run_that_nobody_filled_in_asks_for_nothing_special(dags):
    assert dags["retrain_model"].params.dump() == {
        "reason": "",
        "window_batches": None,
        "force": False,
        "dry_run": False,
    }


def test_one_landed_batch_can_be_named(dags):
    assert _schemas(dags["ingest_batch"]) == {"batch": {"type": ["null", "string"], "title": "Batch"}}


def test_every_field_is_explained(dags):
    for dag in dags.values():
        for name in dag.params:
            assert dag.params.get_param(name).description.endswith("."), (dag.dag_id, name)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [("window_batches", 0), ("window_batches", "all"), ("force", "yes"), ("dry_run", None), ("reason", None)],
)
def test_a_wrong_value_is_refused(dags, field, wrong):
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        dags["retrain_model"].params.get_param(field).resolve(wrong)
