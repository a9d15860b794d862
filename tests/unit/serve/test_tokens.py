"""Who may predict and who may tell outcomes, and that an open door is on loopback only."""

import hashlib
import json

import pytest

from tests.unit.serve.shelf import ROW, client_of
from trimtab.errors import Unfit
from trimtab.serve import tokens
from trimtab.serve.retries import HEADER

TRUTH = {"items": [{"row_id": "a", "label": 1, "label_known_at": "2026-01-06T00:00:00Z"}]}


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


CLIENTS = {
    "shop": {"roles": ["predict"], "sha256": digest("s3cret")},
    "till": {"roles": ["feedback"], "sha256": digest("other").upper()},
    "boss": {"roles": ["predict", "feedback"], "sha256": digest("all")},
}


@pytest.fixture
def secured(holder, log, tmp_path, monkeypatch):
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps(CLIENTS))
    monkeypatch.setenv("TRIMTAB_SERVICE_TOKENS_FILE", str(path))
    return client_of(holder, log, tokens=tokens.from_environment())


def asked(client, path: str, token: str | None) -> int:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    body = {"row": ROW} if path == "/predict" else TRUTH
    answer = (
        client.get(path, headers=headers)
        if path == "/model"
        else client.post(path, json=body, headers=headers)
    )
    return int(answer.status_code)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/predict", ["s3cret", "all"]),
        ("/feedback", ["other", "all"]),
        ("/model", ["s3cret", "other", "all"]),
    ],
)
def test_each_client_may_do_what_its_roles_say(secured, path, allowed):
    for token in ("s3cret", "other", "all"):
        assert asked(secured, path, token) == (200 if token in allowed else 403)


@pytest.mark.parametrize("token", [None, "", "guess", "s3cret2", digest("s3cret"), "caf\xe9"])
def test_a_missing_or_forged_token_is_a_401(secured, log, token):
    assert asked(secured, "/predict", token) == 401
    assert log.count() == (0, 0)


def test_a_401_says_what_is_expected(secured):
    answer = secured.post("/predict", json={"row": ROW}, headers={"Authorization": "Basic czNjcmV0"})
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json == {"error": "Expected `Authorization: Bearer TOKEN` with a token of this service"}


def test_probes_and_metrics_need_no_token(secured):
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
        assert secured.get(path).status_code == 200


def test_two_clients_with_one_key_are_two_requests(secured, log):
    for token in ("s3cret", "all", "s3cret"):
        headers = {"Authorization": f"Bearer {token}", HEADER: "7"}
        assert secured.post("/predict", json={"row": ROW}, headers=headers).status_code == 200
    assert log.count() == (2, 0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Invalid JSON"),
        ("[]", "Input should be an object"),
        ("{}", "should have at least 1 item"),
        ('{"a": {}}', "a.roles\n  Field required"),
        ('{"a": {"roles": [], "sha256": "00"}}', "a.roles\n  Frozenset should have at least 1 item"),
        ('{"a": {"roles": ["admin"], "sha256": "00"}}', "Input should be 'predict' or 'feedback'"),
        ('{"a": {"roles": ["predict"], "sha256": "s3cret"}}', "a.sha256\n  String should match pattern"),
    ],
)
def test_clients_that_cannot_be_read_stop_the_service(monkeypatch, text, reason):
    monkeypatch.setenv("TRIMTAB_SERVICE_TOKENS", text)
    with pytest.raises(Unfit, match="TRIMTAB_SERVICE_TOKENS") as unfit:
        tokens.from_environment()
    assert reason in str(unfit.value)
    assert "s3cret" not in str(unfit.value)


def test_a_file_that_is_not_there_stops_the_service(monkeypatch, tmp_path):
    monkeypatch.setenv("TRIMTAB_SERVICE_TOKENS_FILE", str(tmp_path / "none"))
    with pytest.raises(Unfit, match="TRIMTAB_SERVICE_TOKENS_FILE cannot be used: FileNotFoundError"):
        tokens.from_environment()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_without_tokens_it_listens_on_loopback(host):
    tokens.require_tokens_beyond_loopback(host, tokens.Tokens({}))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "service.internal"])
def test_without_tokens_it_listens_nowhere_else(host):
    with pytest.raises(
        Unfit, match="would listen on .* and let everybody in. Set TRIMTAB_SERVICE_TOKENS_FILE"
    ):
        tokens.require_tokens_beyond_loopback(host, tokens.Tokens({}))


def test_with_tokens_it_listens_anywhere():
    clients = {"a": tokens.Client(roles=frozenset(["predict"]), sha256=digest("a"))}
    tokens.require_tokens_beyond_loopback("0.0.0.0", tokens.Tokens(clients))
