"""However a request is framed and wherever it is cut, its client keeps no other client from being answered."""

import itertools
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import requests
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.integration.service import served
from tests.unit.serve.shelf import ROW
from trimtab.serve.responses import json_response

CONNECTIONS = 12
"""Three times the threads of the service."""
CHECKS = 4
SECONDS_A_BYTE = 0.1
ANSWER_SECONDS = 20
HEAD = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
BODY = json_response({"row": ROW}).get_data()

bodies = st.sampled_from([BODY, BODY + b"0\r\n\r\n", b"0\r\n\r\n"]) | st.binary(max_size=64)
lengths = st.integers(0, 10**22).map(lambda length: b"%d" % length) | st.sampled_from(
    [b"", b"-1", b"+5", b"0x10", b"5, 5", b"5\r\nContent-Length: 6", b"9" * 22, b"9" * 400, b"\xb2", b"1e3"]
)
targets = st.sampled_from([b"POST /predict", b"POST /feedback", b"GET /healthz", b"PUT /nowhere"])


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    with served.running(tmp_path_factory.mktemp("service")) as address:
        yield address


@st.composite
def framed(draw: st.DrawFn) -> bytes:
    """Headers of the body's framing, and the framed body."""
    body, kind = draw(bodies), draw(st.sampled_from(["none", "length", "odd length", "chunked", "both"]))
    headers = b""
    if kind in ("length", "both"):
        headers += b"Content-Length: %d\r\n" % len(body)
    if kind == "odd length":
        headers += b"Content-Length: " + draw(lengths) + b"\r\n"
    if kind in ("chunked", "both"):
        headers += b"Transfer-Encoding: chunked\r\n"
        size = draw(st.integers(1, 64))
        chunks = [body[start : start + size] for start in range(0, len(body), size)]
        extension = draw(st.sampled_from([b"", b";name=value", b" "]))
        body = b"".join(b"%x%s\r\n%s\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
        body += draw(st.sampled_from([b"0\r\n\r\n", b"", b"5\r\n", b"zz\r\n", b"ffffffffffffffffff\r\n"]))
    return headers + b"\r\n" + body


@st.composite
def cut(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A request in two parts: what comes at once, and what trickles."""
    head = draw(targets) + b" HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    request = head + draw(framed())
    place = draw(st.integers(0, len(request)))
    return request[:place], request[place:]


@contextmanager
def trickling(address: tuple[str, int], parts: tuple[bytes, bytes]) -> Iterator[None]:
    """Send the first part over many connections, then byte by byte the rest and what comes after it."""
    stop = threading.Event()
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(address, 30)) for _ in range(CONNECTIONS)]

        def trickle() -> None:
            alive = set(clients)
            for byte in itertools.chain(parts[1], itertools.repeat(ord("0"))):
                if stop.wait(SECONDS_A_BYTE):
                    return
                for client in list(alive):
                    try:
                        client.sendall(bytes([byte]))
                    except OSError:  # the service has closed it
                        alive.remove(client)

        for client in clients:
            client.sendall(parts[0])
        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),  # a service that stands still stays so for the next example
    suppress_health_check=list(HealthCheck),
)
@given(parts=cut())
@example(parts=(HEAD + b"Transfer-Encoding: chunked\r\n\r\nfff\r\n{}0\r\n\r\n", b""))
@example(parts=(HEAD + b"Content-Length: " + b"9" * 22 + b"\r\n\r\n", b""))
def test_health_checks_are_answered_beside_any_request_that_trickles(address, parts):
    with trickling(address, parts):
        for _ in range(CHECKS):
            health = requests.get("http://{}:{}/healthz".format(*address), timeout=ANSWER_SECONDS)
            assert health.json() == {"status": "ok"}
            time.sleep(SECONDS_A_BYTE)
