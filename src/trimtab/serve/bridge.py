"""Connects Flask to granian's RSGI interface, and calls it only when a request has arrived completely.

granian parses HTTP. The body is read here, on the event loop, within limits of size and time, so a slow client takes some
kilobytes and no thread. See https://github.com/emmett-framework/granian/blob/master/docs/spec/RSGI.md.
"""

import asyncio
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from io import BytesIO, RawIOBase
from pathlib import Path
from typing import Any, NoReturn

from flask import Flask
from granian.rsgi import (  # type: ignore[attr-defined]  # it names its exports nowhere
    HTTPProtocol,
    ProtocolClosed,
    Scope,
)
from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    RequestEntityTooLarge,
    RequestTimeout,
    ServiceUnavailable,
)

QUICK = frozenset({"/predict", "/model", "/healthz", "/readyz", "/metrics", "/openapi.json"})
"""Paths that wait for no store, unless the request has an Idempotency-Key."""
THREADS = 4
_SMALL_BYTES = 2**16
"""Requests with bodies up to this size take milliseconds."""
_MAX_BUFFERED_BYTES = 2**28
"""Limit for the bodies of all requests together; small bodies are always accepted."""
_Refusal = Callable[[], HTTPException]
_TOO_LARGE = partial(RequestEntityTooLarge, "The body is larger than serve.max_rows allows")
_TOO_LATE = partial(RequestTimeout, "The request did not arrive in time")
_TOO_MANY = partial(ServiceUnavailable, "Too many large requests are being received; try again")
_INCOMPLETE = partial(BadRequest, "The body is incomplete")
_DISCARD_SECONDS = 2.0
_STALL_SECONDS = 10
_ENVIRON = {
    "SCRIPT_NAME": "",
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    "wsgi.input_terminated": True,
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
}


class Bridge:
    """Reads the body of each request, then calls Flask.

    A request that may wait for a store, or has a large body, runs in one of four threads. All others run on the event
    loop: they do not wait, and the detour through a thread would take longer than they do.

    Reading a refused body raises the error in Flask, so that its error handlers make the response and count it. The limits
    are `MAX_CONTENT_LENGTH` and `REQUEST_SECONDS` in the application's config.
    """

    def __init__(self, app: Flask) -> None:
        self._wsgi: Any = app
        self._log = app.extensions["log"]
        self._max_bytes: int = app.config["MAX_CONTENT_LENGTH"]
        self._seconds: float = app.config["REQUEST_SECONDS"]
        self._threads = ThreadPoolExecutor(THREADS, "request")
        self._buffered_bytes = 0

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_soon(_limit_stalls)  # granian listens by the time that the loop runs

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._threads.shutdown()
        self._log.close()

    async def __rsgi__(self, scope: Scope, proto: HTTPProtocol) -> None:
        """Answer one request."""
        body = bytearray()
        try:
            refusal = await self._read(scope, proto, body)
            environ = _environ(scope, _Refused(refusal) if refusal else BytesIO(body))
            if scope.path in QUICK and len(body) <= _SMALL_BYTES and "idempotency-key" not in scope.headers:
                self._answer(environ, proto)
            else:
                await asyncio.get_running_loop().run_in_executor(self._threads, self._answer, environ, proto)
        finally:
            self._buffered_bytes -= len(body)
        if refusal is _TOO_LARGE:
            await _discard(proto)

    async def _read(self, scope: Scope, proto: HTTPProtocol, body: bytearray) -> _Refusal | None:
        """Read the body, and return why it is refused."""
        chunked, length = "transfer-encoding" in scope.headers, int(scope.headers.get("content-length", 0))
        if not chunked and not length:
            return None
        if length > self._max_bytes:
            return _TOO_LARGE
        try:
            async with asyncio.timeout(self._seconds):
                if not chunked and length <= _SMALL_BYTES:
                    return self._add(body, await proto())
                async for chunk in proto:
                    if refusal := self._add(body, chunk):
                        return refusal
        except TimeoutError:
            return _TOO_LATE
        except ProtocolClosed:
            return _INCOMPLETE
        return None if chunked or len(body) == length else _INCOMPLETE

    def _add(self, body: bytearray, chunk: bytes) -> _Refusal | None:
        body += chunk
        self._buffered_bytes += len(chunk)
        if len(body) > self._max_bytes:
            return _TOO_LARGE
        if len(body) > _SMALL_BYTES and self._buffered_bytes > _MAX_BUFFERED_BYTES:
            return _TOO_MANY
        return None

    def _answer(self, environ: dict[str, Any], proto: HTTPProtocol) -> None:
        response: list[Any] = []
        with closing(self._wsgi(environ, lambda *start, **_: response.extend(start))) as chunks:
            body = b"".join(chunks)
        status, headers = response[:2]
        proto.response_bytes(int(status[:3]), headers, body)


class _Refused(RawIOBase):
    """A body that cannot be read.

    It makes an error instead of keeping one. An error refers to the frames that it passed and so to the connection: kept
    here, which these frames refer to, it would leave the connection open until the garbage collector runs.
    """

    def __init__(self, refusal: _Refusal) -> None:
        self._refusal = refusal

    def readinto(self, _: object) -> NoReturn:
        raise self._refusal()


def _environ(scope: Scope, body: BytesIO | _Refused) -> dict[str, Any]:
    """Return the environ of PEP 3333, without headers whose names have underscores: they would pass for hyphens."""
    headers: dict[str, str] = {}
    for name, value in scope.headers.items():
        if "_" not in name and name not in ("content-length", "transfer-encoding"):
            key = "HTTP_" + name.upper().replace("-", "_")
            headers[key] = f"{headers[key]},{value}" if key in headers else value
    host, _, port = scope.server.rpartition(":")
    return {
        **_ENVIRON,
        **headers,
        "CONTENT_TYPE": headers.get("HTTP_CONTENT_TYPE", ""),
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "REMOTE_ADDR": scope.client.rpartition(":")[0],
        "REQUEST_METHOD": scope.method,
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "wsgi.input": body,
        "wsgi.url_scheme": scope.scheme,
    }


async def _discard(proto: HTTPProtocol) -> None:
    """Read the rest of a refused body for a while, because most clients read the response only after sending it all."""
    with suppress(TimeoutError, ProtocolClosed):
        async with asyncio.timeout(_DISCARD_SECONDS):
            async for _ in proto:
                pass


def _limit_stalls() -> None:
    """Let the kernel close a connection whose client reads no byte of its response for some seconds.

    granian has no such limit, and does not show its sockets. A connection inherits the option from the listening socket.
    """
    for path in Path("/proc/self/fd").glob("*"):
        try:
            candidate = socket.socket(fileno=int(path.name))
        except OSError:  # no socket
            continue
        if candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            candidate.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STALL_SECONDS * 1000)
        candidate.detach()
