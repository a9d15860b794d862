"""The service as production starts it, which also says what Python's full collections have to go through."""

import gc

from flask import Flask

from trimtab.serve import wsgi


def application() -> Flask:
    """What the server starts."""
    app = wsgi.application()

    @app.get("/objects")
    def objects() -> dict[str, int]:
        return {"looked_at": len(gc.get_objects()), "passed_over": gc.get_freeze_count()}

    return app
