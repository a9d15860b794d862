"""The service under granian with clients that are slow, greedy, or curious."""

import hashlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from tests.integration.service import served
from tests.support.builders import ROOT
from tests.unit.serve.shelf import ROW

TOKEN = "token-of-a-test"  # pragma: allowlist secret
BODY = json.dumps({"row": ROW}).encode()
HEAD = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    with served.running(tmp_path_factory.mktemp("service")) as address:
        assert ask(address).status == 200  # the model is there
        yield address


@pytest.fixture(scope="module")
def secured_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    clients = json.dumps({"shop": {"roles": ["predict"], "sha256": digest}})
    folder = tmp_path_factory.mktemp("secured")
    with served.running(folder, TRIMTAB_SERVICE_TOKENS=clients) as address:
        assert [ask(address).status, ask(address, token=TOKEN).status] == [401, 200]
        yield address


def ask(address: tuple[str, int], body: bytes = BODY, token: str = "") -> http.client.HTTPResponse:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    connection = http.client.HTTPConnection(*address, timeout=30)
    connection.request("POST", "/predict", body, headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def answered(client: socket.socket) -> bytes:
    """All that comes until the service closes."""
    received = b""
    while part := client.recv(65536):
        received += part
    return received


@pytest.mark.parametrize("token", [None, TOKEN], ids=["no token", "token"])
@pytest.mark.parametrize("bytes_short", [len(WHOLE), len(WHOLE) - 20, len(BODY), 5])
def test_slow_clients_do_not_delay_others_and_are_refused_in_time(secured_address, token, bytes_short):
    request = WHOLE.replace(b"\r\n", f"\r\nAuthorization: Bearer {token}\r\n".encode(), 1) if token else WHOLE
    part = request[:-bytes_short]
    slow = [socket.create_connection(secured_address, timeout=30) for _ in range(200)]
    for client in slow:
        client.sendall(part)
    assert [ask(secured_address, token=TOKEN).status for _ in range(20)] == [200] * 20
    for client in slow:
        response = answered(client)
        if b"\r\n\r\n" not in part:
            assert response == b""  # granian closes a connection without a header
        elif token:
            assert response.startswith(b"HTTP/1.1 408 ")
            assert json.loads(response.partition(b"\r\n\r\n")[2]) == {
                "error": "The request did not arrive in time"
            }
        else:
            assert response.startswith(b"HTTP/1.1 401 ")
        client.close()


def test_clients_that_read_no_response_are_dropped(address):
    stalled = [socket.create_connection(address, timeout=30) for _ in range(8)]
    for client in stalled:
        client.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 1000)
    ports = {client.getsockname()[1] for client in stalled}
    assert connected(ports) == ports
    assert [ask(address).status for _ in range(20)] == [200] * 20
    patience = time.monotonic() + 60
    while connected(ports) and time.monotonic() < patience:
        time.sleep(0.5)
    assert connected(ports) == set()
    for client in stalled:
        client.close()


def connected(ports: set[int]) -> set[int]:
    """Which of these clients' ports the service still holds a connection to."""
    every = psutil.net_connections("tcp4")
    return ports & {
        connection.raddr.port
        for connection in every
        if connection.raddr and connection.status == psutil.CONN_ESTABLISHED
    }


def test_a_request_that_drips_in_time_is_answered(address):
    with socket.create_connection(address, timeout=30) as client:
        for start in range(0, len(WHOLE), 40):
            client.sendall(WHOLE[start : start + 40])
            time.sleep(0.05)
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_body_that_is_too_large_is_refused_before_it_comes(address):
    clients = [socket.create_connection(address, timeout=30) for _ in range(20)]
    for client in clients:
        client.sendall(HEAD + b"Content-Length: 1000000000\r\n\r\n")
    for client in clients:
        header, _, body = answered(client).partition(b"\r\n\r\n")
        assert header.startswith(b"HTTP/1.1 413 ")
        assert json.loads(body) == {"error": "The body is larger than serve.max_rows allows"}
        client.close()


def test_a_million_rows_are_a_413(address):
    answer = requests.post(
        "http://{}:{}/predict".format(*address), json={"rows": [ROW] * 1_000_000}, timeout=60
    )
    assert answer.status_code == 413


def test_refusals_on_the_way_are_counted(address):
    text = requests.get("http://{}:{}/metrics".format(*address), timeout=30).text
    assert 'trimtab_requests_total{model="flight-delay",route="/predict",status="413"}' in text


def test_a_connection_serves_many_requests(address):
    connection = http.client.HTTPConnection(*address, timeout=30)
    for _ in range(50):
        connection.request("POST", "/predict", BODY, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert (answer.status, answer.will_close) == (200, False)
        answer.read()
    connection.close()


def test_a_body_in_chunks_is_read(address):
    connection = http.client.HTTPConnection(*address, timeout=30)
    parts = iter([BODY[:50], BODY[50:]])
    connection.request("POST", "/predict", parts, {"Content-Type": "application/json"}, encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()


def test_who_waits_for_100_continue_gets_it(address):
    with socket.create_connection(address, timeout=10) as client:
        client.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        interim = b"HTTP/1.1 100 Continue\r\n\r\n"
        assert client.recv(len(interim)) == interim
        client.sendall(BODY)
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_what_is_no_http_is_refused(address):
    with socket.create_connection(address, timeout=30) as client:
        client.sendall(b"\x16\x03\x01\x02\x00\r\n\r\n")
        assert answered(client).startswith(b"HTTP/1.1 400 ")
    assert ask(address).status == 200


def test_a_client_that_leaves_in_the_middle_is_no_trouble(address):
    for part in (HEAD[:10], WHOLE[:-5], WHOLE):
        client = socket.create_connection(address, timeout=30)
        client.sendall(part)
        client.close()
    assert ask(address).status == 200


def test_schemathesis_finds_no_answer_that_is_not_described(address, tmp_path: Path):
    checks = (
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
        "unsupported_method"
    )
    completed = subprocess.run(
        [
            *(
                Path(sys.executable).parent / "schemathesis",
                "run",
                "http://{}:{}/openapi.json".format(*address),
            ),
            *("--checks", checks, "--max-examples", "40", "--seed", "7", "--generation-database", "none"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert completed.returncode == 0, completed.stdout[-5000:] + completed.stderr[-1000:]


def test_without_tokens_it_does_not_start_beyond_loopback(tmp_path: Path):
    completed = subprocess.run(
        served.command("0.0.0.0:0"),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=90,
    )
    assert completed.returncode != 0
    assert "The service would listen on 0.0.0.0 and let everybody in" in completed.stderr
