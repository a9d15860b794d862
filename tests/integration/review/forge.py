"""A stand-in of the part of GitHub's REST API that `trimtab comment` calls, on a free port of loopback."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

REPOSITORY = "somebody/project"
TOKEN = "ghs_of_this_test"  # pragma: allowlist secret
SECRETS = {"GITHUB_TOKEN": TOKEN, "GITHUB_REPOSITORY": REPOSITORY}


@dataclass(kw_only=True)
class Forge:
    """What GitHub holds; `broken` are the statuses of the next answers."""

    pulls: list[dict[str, Any]] = field(default_factory=list)
    files: list[dict[str, Any]] = field(default_factory=list)
    comments: list[dict[str, Any]] = field(default_factory=list)
    broken: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def say(self, login: str, body: str) -> dict[str, Any]:
        """Somebody writes a comment."""
        comment = {"id": 100 + len(self.comments), "user": {"login": login}, "body": body}
        self.comments.append(comment)
        return comment

    def answer(self, method: str, target: str, body: dict[str, Any]) -> tuple[int, Any]:
        parts = urlsplit(target)
        query, path = parse_qs(parts.query), parts.path.removeprefix(f"/repos/{REPOSITORY}")
        if method == "POST" and re.fullmatch(r"/issues/7/comments", path):
            return 201, self.say("github-actions[bot]", body["body"])
        if method == "PATCH" and (match := re.fullmatch(r"/issues/comments/(\d+)", path)):
            (item,) = [item for item in self.comments if item["id"] == int(match[1])]
            item["body"] = body["body"]
            return 200, item
        if path == "/pulls":
            heads = query["head"]
            return 200, [item for item in self.pulls if [item["head"]["label"]] == heads]
        lists = {"/issues/7/comments": self.comments, "/pulls/7/files": self.files}
        if path not in lists:
            return 404, {"message": "Not Found"}
        size, page = int(query["per_page"][0]), int(query["page"][0])
        return 200, lists[path][(page - 1) * size : page * size]


@contextmanager
def running(forge: Forge) -> Iterator[Forge]:
    """Serve it until it is not needed any more."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            size = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(size) or b"{}")
            forge.asked.append(f"{self.command} {self.path}")
            status, said = (
                forge.answer(self.command, self.path, body) if not forge.broken else (forge.broken.pop(0), {})
            )
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                status, said = 401, {"message": "Bad credentials"}
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        do_GET = do_POST = do_PATCH = _answer

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    forge.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield forge
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
