"""A gunicorn worker that gives a request a thread once all of it has come, so that slow clients hold none.

gunicorn's own threaded worker reads a request in the thread that will answer it, for as long as the client likes: as many
slow clients as there are threads stop the service. It also lingers for up to two seconds, on its only event loop, over
each connection that it closes.
"""

import errno
import re
import selectors
import socket
import struct
import time
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson
from gunicorn.workers.gthread import TConn, ThreadWorker

_CHUNK = 2**16
_LONGEST_HEAD = 2**16
"""Bytes of a head that has no end, after which gunicorn is let to refuse it."""
_LINGER_SECONDS = 2.0
_STALL_SECONDS = 10
"""Time that a client may take no byte of its answer."""
_MOST_GATHERED = 2**28
"""Bytes of requests that are not whole, all together."""
_EXPECTS = re.compile(rb"\r\nexpect:[ \t]*100-continue", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,18})[ \t]*(?:\r\n|$)")


@dataclass(slots=True)
class Part:
    """What has come of a request, and the time by which all of it must have."""

    until: float
    received: bytearray = field(default_factory=bytearray)
    continued: bool = False


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Reads requests on the event loop; everything after that is gunicorn's.

    The application's config says `MAX_CONTENT_LENGTH` and `REQUEST_SECONDS`; its extension `metrics` counts what is
    refused here.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._parts: OrderedDict[TConn, Part] = OrderedDict()
        self._closing: OrderedDict[TConn, float] = OrderedDict()

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection and wait for its request without a thread."""
        try:
            client, address = listener.accept()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                raise
            return
        self.nr_conns += 1
        conn = TConn(self.cfg, client, address, listener.getsockname())
        try:
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                client.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", _STALL_SECONDS, 0))
        except OSError:  # it is gone already
            self._drop(conn)
        else:
            self._gather(conn)

    def on_client_socket_readable(self, conn: TConn, client: socket.socket) -> None:
        """Read the next request of a connection that was kept."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._gather(conn)

    def handle(self, conn: TConn) -> Any:
        """Answer a request that is here as a whole; runs in a thread."""
        conn.data_ready = True
        conn.init()
        conn.parser.unreader.unread(conn.received)
        return super().handle(conn)

    def finish_request(self, conn: TConn, fs: "Future[Any]") -> None:
        """Keep the connection, or close it without waiting for the client."""
        if not fs.cancelled() and fs.exception() is None and not (fs.result() and self.alive):
            self._close_kindly(conn)
        else:
            super().finish_request(conn, fs)

    def murder_pending(self) -> None:
        """Refuse requests that did not come in time, and drop connections that were closed long enough."""
        now = time.monotonic()
        for conn in [*_expired(self._parts, lambda part: part.until, now)]:
            part = self._parts[conn]
            if part.received:
                self._refuse(conn, 408, "The request did not arrive in time")
            else:
                self._drop(conn)
        for conn in [*_expired(self._closing, float, now)]:
            self._drop(conn)

    def _gather(self, conn: TConn, _: Any = None) -> None:
        """Read what has come of a request; give it a thread when that is all."""
        new = conn not in self._parts
        part = self._parts.setdefault(conn, Part(time.monotonic() + self.wsgi.config["REQUEST_SECONDS"]))
        if not self._read(conn, part):
            self._drop(conn)
            return
        missing = self._missing(part)
        if missing == 0:
            self._forget(conn)
            conn.received = bytes(part.received)
            self.enqueue_req(conn)
        elif missing is None:
            self._refuse(conn, 413, "The body is larger than serve.max_rows allows")
        elif len(part.received) > _CHUNK and self._gathered() > _MOST_GATHERED:
            self._refuse(conn, 503, "Too many large requests are on their way; try again")
        elif new:
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._gather, conn))

    def _read(self, conn: TConn, part: Part) -> bool:
        """Read once, and tell a client that waits for it to go on; False when the client is gone.

        No error of a socket may leave here: gunicorn's event loop ends with one.
        """
        try:
            conn.sock.setblocking(False)
            data = conn.sock.recv(_CHUNK)
            part.received += data
            if not part.continued and self._missing(part) and _EXPECTS.search(part.received[:_LONGEST_HEAD]):
                part.continued = True
                conn.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        except BlockingIOError:
            return True
        except OSError:
            return False
        return bool(data)

    def _gathered(self) -> int:
        return sum(len(part.received) for part in self._parts.values())

    def _missing(self, part: Part) -> int | None:
        return missing(part.received, self.wsgi.config["MAX_CONTENT_LENGTH"])

    def _refuse(self, conn: TConn, status: int, reason: str) -> None:
        began = self._parts[conn].until - self.wsgi.config["REQUEST_SECONDS"]
        self._forget(conn)
        body = orjson.dumps({"error": reason})
        head = f"HTTP/1.1 {status} \r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        try:
            conn.sock.setblocking(False)
            conn.sock.send(head.encode() + b"Connection: close\r\n\r\n" + body)
        except OSError:
            pass  # it is closed in any case
        self.wsgi.extensions["metrics"].answered("unknown", status, time.monotonic() - began)
        self._close_kindly(conn)

    def _close_kindly(self, conn: TConn) -> None:
        """Half-close, so that the client can read its answer though we have not read all of its request."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._discard, conn))
        except (OSError, ValueError, KeyError):
            self._drop(conn)
        else:
            self._closing[conn] = time.monotonic() + _LINGER_SECONDS

    def _discard(self, conn: TConn, _: Any) -> None:
        try:
            if conn.sock.recv(_CHUNK):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._drop(conn)

    def _forget(self, conn: TConn) -> None:
        """Read no more of a connection."""
        self._parts.pop(conn, None)
        self._closing.pop(conn, None)
        try:
            self.poller.unregister(conn.sock)
        except (KeyError, ValueError):
            pass  # it was whole at once

    def _drop(self, conn: TConn) -> None:
        self._forget(conn)
        self.nr_conns -= 1
        conn.close()


def missing(received: bytearray, most: int) -> int | None:
    r"""Return how many bytes of a request have not come, 1 when that is not known; None when its body is too large.

    >>> missing(bytearray(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc"), 10)
    2
    """
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return 1 if len(received) < _LONGEST_HEAD else 0
    head, body = bytes(received[:end]).lower(), len(received) - end - len(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if length is not None:
        return None if int(length[1]) > most else max(0, int(length[1]) - body)
    if b"\r\ntransfer-encoding:" in head:
        return None if body > 2 * most else int(not received.endswith(b"0\r\n\r\n"))
    return 0


def _expired(by_age: "OrderedDict[TConn, Any]", until: Any, now: float) -> Any:
    for conn, value in by_age.items():
        if until(value) > now:
            return
        yield conn
