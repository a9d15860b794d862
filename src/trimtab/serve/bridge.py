"""The Flask application behind granian's RSGI interface: Flask is called when a request has arrived in full.

granian parses HTTP. The body is read here, on the event loop, within limits of size and time, so a slow client takes some
kilobytes and no thread. See https://github.com/emmett-framework/granian/blob/master/docs/spec/RSGI.md.
"""

import asyncio
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
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
"""A body of this size is answered within milliseconds."""
_MAX_BUFFERED_BYTES = 2**28
"""Of all requests together; small bodies are always accepted."""
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
    """Reads the body of each request and lets Flask answer.

    A request that may wait for a store, or is large, gets one of four threads. All others are answered on the event loop
    itself: they are short and do not wait, and handing them to a thread takes longer than answering them.

    A body beyond the limits is raised as an error where Flask reads it, so that Flask's error handlers word and count the
    refusal. The limits are `MAX_CONTENT_LENGTH` and `REQUEST_SECONDS` in the application's config.
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
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._threads, self._answer, environ, proto)
        finally:
            self._buffered_bytes -= len(body)
        if isinstance(refusal, RequestEntityTooLarge):
            await _discard(proto)

    async def _read(self, scope: Scope, proto: HTTPProtocol, body: bytearray) -> HTTPException | None:
        """Read the body, and return why it is refused."""
        chunked, length = "transfer-encoding" in scope.headers, int(scope.headers.get("content-length", 0))
        if not chunked and not length:
            return None
        if length > self._max_bytes:
            return _too_large()
        try:
            async with asyncio.timeout(self._seconds):
                if not chunked and length <= _SMALL_BYTES:
                    return self._add(body, await proto())
                async for chunk in proto:
                    if refusal := self._add(body, chunk):
                        return refusal
        except TimeoutError:
            return RequestTimeout("The request did not arrive in time")
        except ProtocolClosed:
            return BadRequest("The body is incomplete")
        return None if chunked or len(body) == length else BadRequest("The body is incomplete")

    def _add(self, body: bytearray, chunk: bytes) -> HTTPException | None:
        body += chunk
        self._buffered_bytes += len(chunk)
        if len(body) > self._max_bytes:
            return _too_large()
        if len(body) > _SMALL_BYTES and self._buffered_bytes > _MAX_BUFFERED_BYTES:
            return ServiceUnavailable("Too many large requests are being received; try again")
        return None

    def _answer(self, environ: dict[str, Any], proto: HTTPProtocol) -> None:
        response: list[Any] = []
        with closing(self._wsgi(environ, lambda *start, **_: response.extend(start))) as chunks:
            body = b"".join(chunks)
        status, headers = response[:2]
        proto.response_bytes(int(status[:3]), headers, body)


class _Refused(RawIOBase):
    """A body that cannot be read."""

    def __init__(self, reason: HTTPException) -> None:
        self._reason = reason

    def readinto(self, _: object) -> NoReturn:
        """Raise the reason."""
        raise self._reason


def _too_large() -> RequestEntityTooLarge:
    return RequestEntityTooLarge("The body is larger than serve.max_rows allows")


def _environ(scope: Scope, body: BytesIO | _Refused) -> dict[str, Any]:
    """Return the request as PEP 3333 has it. A name with an underscore is left out: it would pass for one with a hyphen."""
    headers: dict[str, str] = {}
    for name, value in scope.headers.items():
        if "_" not in name:
            key = "HTTP_" + name.upper().replace("-", "_")
            headers[key] = f"{headers[key]},{value}" if key in headers else value
    headers.pop("HTTP_CONTENT_LENGTH", None)
    headers.pop("HTTP_TRANSFER_ENCODING", None)
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
    """Take the rest of a refused body for a while: most clients read the response only when they have sent all of it."""
    try:
        async with asyncio.timeout(_DISCARD_SECONDS):
            async for _ in proto:
                pass
    except (TimeoutError, ProtocolClosed):
        pass


def _limit_stalls() -> None:
    """Let the kernel close a connection whose client takes no byte of its response for some seconds.

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
