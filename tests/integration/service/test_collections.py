"""What Python's full collections have to go through in a worker that gunicorn runs as we set it."""

import gc

import requests
from flask import Flask

from tests.integration.service import served


def application(folder: str) -> Flask:
    """The service, and how many objects a full collection looks at and passes over."""
    app = served.application(folder)

    @app.get("/objects")
    def objects() -> dict[str, int]:
        return {"looked_at": len(gc.get_objects()), "passed_over": gc.get_freeze_count()}

    return app


def test_full_collections_pass_over_what_was_imported(tmp_path):
    with served.running(tmp_path, application=f"{__name__}:application") as (host, port):
        counts = requests.get(f"http://{host}:{port}/objects", timeout=10).json()
    assert counts["passed_over"] > 200_000
    assert counts["looked_at"] < 20_000
