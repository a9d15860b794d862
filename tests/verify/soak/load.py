"""Sends requests at a rate, whatever comes back, and writes down every answer: a process of its own.

    python -m tests.verify.soak.load ADDRESS ROWS OUTPUT NAME [RATE]

It ends when its input does. Without a rate, 8 connections ask again as soon as they are answered. ROWS is a file of rows
without their id. A row's id is NAME, a number and the row's place in ROWS.
"""

import asyncio
import random
import sys
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from zlib import crc32

import aiohttp
import orjson

SINGLE, HUNDRED, FEEDBACK = "single", "hundred", "feedback"
SHARES = {SINGLE: 0.95, HUNDRED: 0.03, FEEDBACK: 0.02}
PATHS = {SINGLE: "/predict", HUNDRED: "/predict", FEEDBACK: "/feedback"}
MANY = 100
"""Rows of a large request."""
TOLD_AT_ONCE = 10
"""Outcomes in one feedback."""
SATURATING, PACED = 8, 64
"""Open connections."""
KNOWN_AFTER_SECONDS = 1.0
TIMEOUT_SECONDS = 60
PROGRESS_SECONDS = 5


def label_of(row_id: str) -> int:
    """The outcome of a row, as every feedback tells it."""
    return crc32(row_id.encode()) & 1


class Load:
    """Makes requests, sends them, and keeps what came back."""

    def __init__(
        self, session: aiohttp.ClientSession, rows: list[bytes], output: BinaryIO, name: str
    ) -> None:
        self._session, self._rows, self._output, self._name = session, rows, output, name
        self._chance = random.Random(name)
        self._number = 0
        self._answered: deque[tuple[float, str]] = deque(maxlen=1000)
        self._recent: list[float] = []
        self.ended = asyncio.Event()
        self.sent = self.failed = self.open = 0

    async def saturate(self) -> None:
        """Ask again as soon as an answer is there."""

        async def ask() -> None:
            while not self.ended.is_set():
                await self.ask(time.monotonic())

        await asyncio.gather(*(ask() for _ in range(SATURATING)))

    async def pace(self, rate: float) -> None:
        """Ask at even intervals; who waits for an answer holds up nobody."""
        begin, asking = time.monotonic(), set()
        while not self.ended.is_set():
            due = begin + self.sent / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.create_task(self.ask(due))
            self.sent += 1
            asking.add(task)
            task.add_done_callback(asking.discard)
        await asyncio.gather(*asking)

    async def ask(self, due: float) -> None:
        """Send one request and write down what became of it; the latency counts from when it was due."""
        kind, body = self._request()
        record: dict[str, Any] = {"kind": kind, "due": due, "sent": time.monotonic(), "status": 0}
        self.open += 1
        try:
            async with self._session.post(PATHS[kind], data=body) as answer:
                record["status"], content = answer.status, await answer.read()
            if answer.status != 200:
                record["error"] = content.decode(errors="replace")[:300]
            elif kind == FEEDBACK:
                record["outcomes"] = [item["row_id"] for item in orjson.loads(body)["items"]]
            else:
                record["told"] = self._answers(content)
        except (aiohttp.ClientError, OSError, ValueError, KeyError, asyncio.TimeoutError) as error:
            record["error"] = f"{type(error).__name__}: {error}"
        self.open -= 1
        self.failed += "error" in record
        record["done"] = time.monotonic()
        self._recent.append(record["done"] - due)
        self._output.write(orjson.dumps(record) + b"\n")

    async def report(self) -> None:
        """Print a line every few seconds."""
        begin, before = time.monotonic(), 0
        while not self.ended.is_set():
            await asyncio.sleep(PROGRESS_SECONDS)
            recent, self._recent = sorted(self._recent), []
            p99 = recent[int(len(recent) * 0.99)] * 1000 if recent else float("nan")
            print(
                f"  {time.monotonic() - begin:4.0f} s: {(self.sent - before) / PROGRESS_SECONDS:.0f} requests/s, "
                f"{self.open} open, {self.failed} failed, p99 {p99:.1f} ms",
                flush=True,
            )
            before = self.sent

    def _answers(self, content: bytes) -> list[list[Any]]:
        answers = [
            [
                prediction["prediction_id"],
                prediction["row_id"],
                prediction["version"],
                prediction["probability"],
            ]
            for prediction in orjson.loads(content)["predictions"]
        ]
        self._answered.append((time.monotonic(), answers[0][1]))
        return answers

    def _request(self) -> tuple[str, bytes]:
        (kind,) = self._chance.choices([*SHARES], [*SHARES.values()])
        if kind == FEEDBACK:
            items = self._outcomes()
            if items:
                return kind, orjson.dumps({"items": items})
            kind = SINGLE
        rows = b",".join(self._row() for _ in range(MANY if kind == HUNDRED else 1))
        return kind, b'{"rows":[' + rows + b"]}"

    def _row(self) -> bytes:
        self._number += 1
        place = self._chance.randrange(len(self._rows))
        return b'{"row_id":"%s-%d-%d",' % (self._name.encode(), self._number, place) + self._rows[place]

    def _outcomes(self) -> list[dict[str, object]]:
        answered_before, rows = time.monotonic() - KNOWN_AFTER_SECONDS, []
        while self._answered and self._answered[0][0] < answered_before and len(rows) < TOLD_AT_ONCE:
            rows.append(self._answered.popleft()[1])
        now = datetime.now(UTC).isoformat()
        return [{"row_id": row, "label": label_of(row), "label_known_at": now} for row in rows]


async def main(address: str, rows: str, output: str, name: str, rate: str | None = None) -> None:
    """Ask until the input ends."""
    ready = [orjson.dumps(body)[1:] for body in orjson.loads(Path(rows).read_bytes())]
    connector = aiohttp.TCPConnector(
        limit=PACED, keepalive_timeout=5
    )  # the service closes idle ones after 15 s
    with Path(output).open("wb", buffering=2**20) as file:
        async with aiohttp.ClientSession(
            address,
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
            headers={"Content-Type": "application/json"},
        ) as session:
            load = Load(session, ready, file, name)
            asyncio.get_running_loop().add_reader(sys.stdin, load.ended.set)
            if rate is None:
                await load.saturate()
            else:
                await asyncio.gather(load.pace(float(rate)), load.report())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
