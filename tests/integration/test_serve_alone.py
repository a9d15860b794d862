"""The service starts and answers from its own disk while the stores are away."""

import pytest
import yaml

from tests.integration.service import real
from tests.support.moments import Site
from trimtab.loop.loop import Loop
from trimtab.origin.commands import git
from trimtab.serve.preparing import LAST_GOOD
from trimtab.train.fit import build, fit

AWAY = {
    "origin": {"TRIMTAB_ORIGIN_URL": "http://admin:hunter2@127.0.0.1:9/origin.git"},
    "MLflow": {"MLFLOW_TRACKING_URI": "http://admin:hunter2@127.0.0.1:9"},
    "ledger": {"TRIMTAB_LEDGER_URL": "postgresql+psycopg://admin:hunter2@127.0.0.1:9/ledger"},
}
METRIC = 'trimtab_last_good{model="flight-delay"}'


@pytest.fixture
def rows(site: Site, loop: Loop) -> list[dict[str, object]]:
    """Rows to ask for; a version that was trained at the origin's head is in Production, and has answered."""
    frame = real.week(0)
    rows = real.requested(loop, frame.head(3))

    def answer() -> None:
        loop.registry.stages(loop.model)
        commit = {"trimtab.commit": loop.commit}
        real.promote(loop, fit(build(loop.params), loop.params, frame), tags=commit)
        with real.running(loop) as service:
            service.wait_for("1")
            assert service.post("/predict", {"rows": rows}).status_code == 200
            assert f"{METRIC} 0.0" in service.get("/metrics").text

    site.at("answered", answer)
    return rows


@pytest.mark.parametrize("away", [["origin"], ["MLflow"], ["ledger"], ["origin", "MLflow", "ledger"]])
def test_it_starts_and_answers_while_a_store_is_away(loop: Loop, rows, away) -> None:
    environment = {name: value for store in away for name, value in AWAY[store].items()}
    with real.running(loop, **environment) as service:
        response = service.post("/predict", {"rows": rows})
        assert response.status_code == 200
        assert {row["version"] for row in response.json()["predictions"]} == {"1"}
        assert service.get("/model").json()["commit"] == loop.commit
        ready = service.get("/readyz")
        assert (ready.json()["status"], ready.json()["version"]) == ("ok", "1")
        assert f"{away[0]} does not answer" in ready.json()["trouble"]
        assert "last good parameters are in use" in ready.json()["trouble"]
        assert "hunter2" not in ready.text
        assert f"{METRIC} 1.0" in service.get("/metrics").text


def test_a_feature_that_the_origin_has_dropped_is_still_asked_for(loop: Loop, rows, tmp_path) -> None:
    edited = tmp_path / "edited"
    git("clone", "-q", loop.stores.origin, str(edited), cwd=tmp_path)
    content = yaml.safe_load((edited / "params.yaml").read_text())
    del content["data"]["features"]["distance"]
    content["serve"]["max_rows"] = 2
    (edited / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    git("commit", "-q", "-a", "-m", "Drop a feature", cwd=edited)
    git("push", "-q", "origin", "HEAD", cwd=edited)
    with real.running(loop) as service:
        assert service.get("/readyz").json() == {"status": "ok", "version": "1", "trouble": None}
        assert service.post("/predict", {"rows": rows[:2]}).status_code == 200
        assert service.post("/predict", {"rows": rows}).status_code == 413
        without = [{name: value for name, value in row.items() if name != "distance"} for row in rows[:2]]
        assert service.post("/predict", {"rows": without}).status_code == 422


def test_a_state_that_cannot_be_read_is_set_aside(loop: Loop, rows) -> None:
    path = loop.stores.home / "models" / LAST_GOOD
    path.write_bytes(path.read_bytes()[:100])
    with real.running(loop, **AWAY["MLflow"]) as service:
        ready = service.get("/readyz")
        assert (ready.status_code, ready.json()) == (503, {"error": "MLflow does not answer"})
    assert not path.exists()
    assert len(path.with_suffix(".corrupt").read_bytes()) == 100
    log = (loop.stores.home / "service.log").read_text()
    assert f"{path} cannot be used and was moved to {path.with_suffix('.corrupt')}" in log
