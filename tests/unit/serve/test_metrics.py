"""What Prometheus reads."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.serve.shelf import ROW


def series(client) -> dict[str, float]:
    """Every sample of the exposition, as `name{label=value,...}` with the labels sorted."""
    return {
        f"{sample.name}{{{','.join(f'{key}={value}' for key, value in sorted(sample.labels.items()))}}}": sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }


def test_requests_are_counted_by_route_and_status(client):
    client.post("/predict", json={"row": ROW})
    client.post("/predict", json={"row": {}})
    samples = series(client)
    assert samples["trimtab_requests_total{model=flight-delay,route=/predict,status=200}"] == 1
    assert samples["trimtab_requests_total{model=flight-delay,route=/predict,status=422}"] == 1
    assert samples["trimtab_request_seconds_count{model=flight-delay,route=/predict}"] == 2


def test_a_path_that_a_client_made_up_makes_no_new_series(client):
    for path in ("/a", "/b", "/c"):
        client.get(path)
    assert series(client)["trimtab_requests_total{model=flight-delay,route=unknown,status=404}"] == 3


def test_predictions_are_counted_by_version(client):
    client.post("/predict", json={"rows": [ROW, {**ROW, "row_id": "b"}]})
    assert series(client)["trimtab_predictions_total{model=flight-delay,version=1}"] == 2


def test_only_the_version_that_answers_is_named(client, shelf, holder):
    shelf.promote("2")
    holder.refresh()
    named = {name: value for name, value in series(client).items() if name.startswith("trimtab_model_info")}
    assert named == {"trimtab_model_info{model=flight-delay,version=2}": 1}


def test_failed_looks_at_the_registry_are_counted(client, shelf, holder):
    shelf.away = True
    holder.refresh()
    assert series(client)["trimtab_reload_errors_total{model=flight-delay,role=champion}"] == 1


def test_undeclared_categories_are_counted_by_feature_and_start_at_zero(client):
    name = "trimtab_unseen_categories_total{feature=shop,model=flight-delay}"
    assert series(client)[name] == 0
    client.post("/predict", json={"rows": [{**ROW, "shop": "west"}, {**ROW, "row_id": "b"}]})
    assert series(client)[name] == 1


def test_faults_and_outcomes_are_counted(client):
    client.post("/predict", json={"row": {**ROW, "price": "10", "noise": None}})
    truth = {"row_id": "a", "label": 1, "label_known_at": "2026-01-06T00:00:00Z"}
    client.post("/feedback", json={"items": [truth, truth]})
    samples = series(client)
    assert samples["trimtab_faults_total{model=flight-delay}"] == 2
    assert samples["trimtab_outcomes_total{model=flight-delay}"] == 1


def test_every_series_names_the_model(client):
    client.post("/predict", json={"row": ROW})
    assert all("model=flight-delay" in name for name in series(client))


def test_what_waits_for_the_log_and_what_was_written_is_shown(client, log):
    client.post("/predict", json={"rows": [ROW, {**ROW, "row_id": "b"}]})
    assert log.count() == (2, 0)
    samples = series(client)
    named = {name: value for name, value in samples.items() if name.startswith("trimtab_log_")}
    assert named == {
        "trimtab_log_queued{model=flight-delay}": 0,
        "trimtab_log_spooled{model=flight-delay}": 0,
        "trimtab_log_spool_bytes{model=flight-delay}": 0,
        "trimtab_log_spool_limit_bytes{model=flight-delay}": 256e6,
        "trimtab_log_away{model=flight-delay}": 0,
        "trimtab_log_written_total{model=flight-delay}": 2,
        "trimtab_log_replayed_total{model=flight-delay}": 0,
        "trimtab_log_refused_total{model=flight-delay}": 0,
        "trimtab_log_failures_total{model=flight-delay}": 0,
    }


def test_missing_inputs_and_refused_ones_are_counted_by_feature_and_start_at_zero(client):
    assert series(client)["trimtab_missing_inputs_total{feature=noise,model=flight-delay}"] == 0
    client.post("/predict", json={"rows": [{**ROW, "price": None}, {**ROW, "row_id": "b", "shop": None}]})
    client.post("/predict", json={"row": {**ROW, "noise": 11, "colour": 1}})
    samples = series(client)
    assert samples["trimtab_missing_inputs_total{feature=price,model=flight-delay}"] == 1
    assert samples["trimtab_missing_inputs_total{feature=shop,model=flight-delay}"] == 1
    assert samples["trimtab_refused_inputs_total{feature=noise,model=flight-delay}"] == 1
    assert not any("colour" in name for name in samples)


def test_answers_are_in_a_histogram_by_version(client):
    rows = [{**ROW, "row_id": str(number), "price": number} for number in range(50)]
    answered = client.post("/predict", json={"rows": rows}).json["predictions"]
    chances = [prediction["probability"] for prediction in answered]
    samples = series(client)
    name = "trimtab_prediction_answer"
    for bound in (0.05, 0.2, 0.5, 1):
        at_most = sum(chance <= bound for chance in chances)
        assert samples[f"{name}_bucket{{le={bound:g},model=flight-delay,version=1}}"] == at_most
    assert samples[f"{name}_count{{model=flight-delay,version=1}}"] == 50
    assert samples[f"{name}_sum{{model=flight-delay,version=1}}"] == pytest.approx(sum(chances))


def test_it_is_told_whether_the_model_answers_the_fast_way(client):
    assert series(client)["trimtab_model_fast{model=flight-delay}"] == 1
