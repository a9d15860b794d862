"""A request reaches Flask when all of its body is there, and one that breaks a limit is refused by Flask's own handlers."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Mapping
from types import SimpleNamespace

import pytest
from flask import Flask, request

from tests.unit.serve.shelf import EVERYBODY, NOON, ROW, WANTED
from trimtab.serve import bridge
from trimtab.serve.app import create_app
from trimtab.serve.bridge import Bridge

BODY = json.dumps({"row": ROW}).encode()
JSON = {"content-type": "application/json"}


class Exchange:
    """One request and its response, as granian hands them over."""

    def __init__(self, *chunks: bytes, pause: float = 0) -> None:
        self._chunks, self._pause = chunks, pause
        self.status, self.headers, self.body = 0, {}, b""

    async def __call__(self) -> bytes:
        return b"".join([chunk async for chunk in self])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            await asyncio.sleep(self._pause)
            yield chunk

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.headers, self.body = status, dict(headers), body

    @property
    def error(self) -> str:
        return str(json.loads(self.body)["error"])


@pytest.fixture
def app(holder, log):
    return create_app({"champion": holder}, log, WANTED, lambda: NOON, tokens=EVERYBODY)


def answer(
    app: Flask | Bridge,
    exchange: Exchange,
    headers: Mapping[str, str],
    path: str = "/predict",
    method: str = "POST",
) -> Exchange:
    served = app if isinstance(app, Bridge) else Bridge(app)
    scope = SimpleNamespace(
        headers=headers,
        path=path,
        method=method,
        query_string="",
        scheme="http",
        http_version="1.1",
        server="127.0.0.1:80",
        client="127.0.0.1:1024",
    )
    asyncio.run(served.__rsgi__(scope, exchange))
    return exchange


def sized(body: bytes) -> dict[str, str]:
    return {**JSON, "content-length": str(len(body))}


def test_a_body_of_a_stated_length_is_answered(app):
    assert answer(app, Exchange(BODY), sized(BODY)).status == 200


def test_a_body_in_chunks_is_answered(app):
    parts = Exchange(BODY[:10], BODY[10:], b"")
    assert answer(app, parts, {**JSON, "transfer-encoding": "chunked"}).status == 200


def test_a_retry_is_answered_in_a_thread(app):
    keyed = {**sized(BODY), "idempotency-key": "k"}
    assert answer(app, Exchange(BODY), keyed).headers.get("Idempotent-Replayed") is None
    assert answer(app, Exchange(BODY), keyed).headers["Idempotent-Replayed"] == "true"


def test_a_body_that_takes_too_long_is_a_408(app):
    app.config["REQUEST_SECONDS"] = 0.05
    late = answer(app, Exchange(BODY, pause=30), sized(BODY))
    assert (late.status, late.error) == (408, "The request did not arrive in time")


def test_a_body_that_is_announced_too_large_is_not_read(app):
    headers = {**JSON, "content-length": "1000000000"}
    large = answer(app, Exchange(), headers)
    assert (large.status, large.error) == (413, "The body is larger than serve.max_rows allows")


def test_chunks_beyond_the_limit_are_a_413(app):
    app.config["MAX_CONTENT_LENGTH"] = 100
    parts = Exchange(*[b"x" * 60] * 3)
    assert answer(app, parts, {**JSON, "transfer-encoding": "chunked"}).status == 413


def test_a_large_body_that_ends_early_is_a_400(app):
    headers = {**JSON, "content-length": str(bridge._SMALL_BYTES + 1)}
    short = answer(app, Exchange(BODY, b""), headers)
    assert (short.status, short.error) == (400, "The body is incomplete")


def test_large_bodies_beyond_the_memory_for_them_are_a_503(app, monkeypatch):
    monkeypatch.setattr(bridge, "_MAX_BUFFERED_BYTES", bridge._SMALL_BYTES + 10)
    large = b" " * (bridge._SMALL_BYTES + 11)
    assert answer(app, Exchange(large), sized(large)).status == 503
    assert answer(app, Exchange(BODY), sized(BODY)).status == 200


def test_a_header_with_an_underscore_does_not_pass_for_another(app):
    app.add_url_rule("/seen", view_func=lambda: request.headers.get("X-User", "nobody"))
    assert answer(app, Exchange(), {"x_user": "admin"}, "/seen", "GET").body == b"nobody"


def test_the_quick_paths_are_paths_of_the_application(app):
    assert bridge.QUICK <= {rule.rule for rule in app.url_map.iter_rules()}


def test_a_health_check_needs_no_thread(app):
    served, free = Bridge(app), threading.Event()
    for _ in range(bridge.THREADS):
        served._threads.submit(free.wait)
    assert answer(served, Exchange(), {}, "/healthz", "GET").status == 200
    free.set()
