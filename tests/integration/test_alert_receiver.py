"""The receiver of alerts as an application, over a real loop; Airflow itself is away, so that nothing can be woken."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.integration.test_requests import FIRED
from tests.support import playground
from trimtab.ledger import Request
from trimtab.loop.initialise import initialise
from trimtab.loop.loop import Loop
from trimtab.views.prometheus import Scraped

BODY = {"version": "4", "alerts": [FIRED]}
TOKEN = {"Authorization": "Bearer open sesame"}


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    """One loop for all tests here, as each of them has an alert of its own."""
    folder = tmp_path_factory.mktemp("receiver")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in playground.environment(folder / "var").items():
            patch.setenv(name, value)
        patch.setenv("AIRFLOW_HOME", str(folder / "airflow"))
        patch.syspath_prepend(str(playground.ROOT / "plugins"))
        initialise(playground.tree(folder / "tree"))
        yield playground.opened()


@pytest.fixture
def client(loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    secret = tmp_path / "alerts.token"
    secret.write_text("open sesame\n")
    monkeypatch.setenv("TRIMTAB_ALERTS_TOKEN_FILE", str(secret))
    with TestClient(importlib.import_module("trimtab_alerts").alerts_app, headers=TOKEN) as test_client:
        yield test_client


@pytest.fixture(autouse=True)
def before(loop: Loop) -> int:
    """How many requests there were before."""
    return len(loop.ledger.all(Request))


def body(fingerprint: str) -> dict[str, object]:
    return {"version": "4", "alerts": [FIRED | {"fingerprint": fingerprint}]}


def asked(loop: Loop, before: int) -> list[str]:
    return [record.episode for record in loop.ledger.all(Request)][before:]


def test_an_alert_is_a_request_though_nothing_can_be_woken(client, loop, before):
    answer = client.post("/alerts", json=body("aa"))
    assert (answer.status_code, answer.json()["opened"]) == (200, ["aa"])
    assert client.post("/alerts", json=body("aa")).json()["joined"] == ["aa"]
    assert asked(loop, before) == ["aa:2026-01-05T12:00:00+00:00"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": ""}, 401),
        ({"Authorization": "Basic b3BlbiBzZXNhbWU="}, 401),
        ({"Authorization": "Bearer"}, 401),
        ({"Authorization": "Bearer open sesam"}, 403),
        ({"Authorization": "Bearer öpen sesame".encode("latin-1")}, 403),
    ],
)
def test_who_does_not_bring_the_token_gets_nothing_in_and_sees_nothing(client, loop, before, headers, status):
    assert client.post("/alerts", json=BODY, headers=headers).status_code == status
    assert client.get("/metrics", headers=headers).status_code == status
    assert asked(loop, before) == []


def test_without_a_configured_secret_everybody_is_refused(client, loop, before, tmp_path):
    for nothing in ("", "  \n"):
        (tmp_path / "alerts.token").write_text(nothing)
        answer = client.post("/alerts", json=BODY, headers={"Authorization": "Bearer  "})
        assert answer.status_code == 503
        assert "Set TRIMTAB_ALERTS_TOKEN or TRIMTAB_ALERTS_TOKEN_FILE" in answer.json()["detail"]
    assert asked(loop, before) == []


def test_a_new_secret_in_the_file_counts_at_once(client, tmp_path):
    (tmp_path / "alerts.token").write_text("another")
    assert client.post("/alerts", json=BODY).status_code == 403
    assert client.post("/alerts", json=BODY, headers={"Authorization": "Bearer another"}).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b'{"version": "4", "alerts": [', 400),
        (b"[" * 100_000, 400),
        (b"\xff\xfe", 400),
        (b"9" * 5_000, 400),
        (b"null", 422),
        (b"NaN", 422),
        (json.dumps(BODY | {"version": "3"}).encode(), 422),
        (json.dumps(BODY | {"alerts": [FIRED, FIRED | {"startsAt": "noon"}]}).encode(), 422),
        (json.dumps(BODY | {"alerts": [FIRED | {"fingerprint": "a\0b"}]}).encode(), 422),
        (json.dumps(BODY | {"alerts": [FIRED | {"labels": {"alertname": "\ud800"}}]}).encode(), 422),
        (json.dumps(BODY | {"alerts": [FIRED | {"startsAt": "0001-01-01T00:00:00+14:00"}]}).encode(), 422),
        (json.dumps(BODY | {"alerts": [FIRED], "pad": "x" * 1_000_000}).encode(), 413),
    ],
)
def test_a_wrong_body_is_refused_as_a_whole(client, loop, before, body, status):
    answer = client.post("/alerts", content=body)
    assert (answer.status_code, bool(answer.json()["detail"])) == (status, True)
    assert asked(loop, before) == []


def test_the_field_of_another_version_is_named(client):
    (fault,) = client.post("/alerts", json=BODY | {"version": "5"}).json()["detail"]
    assert fault == {"field": "version", "expected": "Input should be '4'", "got": "'5'"}


def test_a_ledger_that_is_away_asks_alertmanager_to_send_again(client, monkeypatch, tmp_path):
    monkeypatch.setenv("TRIMTAB_LEDGER_URL", f"sqlite:///{tmp_path / 'no-ledger.db'}")
    assert client.post("/alerts", json=body("bb")).status_code == 503
    monkeypatch.delenv("TRIMTAB_LEDGER_URL")
    assert client.post("/alerts", json=body("bb")).json()["opened"] == ["bb"]


def test_the_figures_name_the_model_and_what_waits(client):
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'trimtab_batches_total{model="flight-delay"} 0.0' in answer.text.splitlines()


def test_figures_are_read_once_for_scrapers_that_come_close_to_each_other(loop):
    cached, fresh = Scraped(seconds=600), Scraped(seconds=0)
    before = cached.text()
    loop.take_lease("run")
    assert cached.text() == before
    assert f'trimtab_lease_held{{model="{loop.model}"}} 1.0' in fresh.text().decode()


def test_the_plugin_is_light_for_every_process_of_airflow_loads_it():
    code = "import sys, trimtab_alerts; print({'fastapi', 'trimtab', 'pandas'} & set(sys.modules))"
    folder = playground.ROOT / "plugins"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
