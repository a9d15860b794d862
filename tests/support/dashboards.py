"""The expressions of the Grafana dashboards, as Grafana would send them."""

import json
from pathlib import Path

from tests.support.playground import MODEL, ROOT

PATHS = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
_VARIABLES = {"$model": MODEL, "$__rate_interval": "1m", "$__range": "1h"}


def expressions(path: Path) -> list[str]:
    """Return what all panels of a dashboard ask, with Grafana's variables filled in."""
    queries = []
    for panel in json.loads(path.read_text())["panels"]:
        for target in panel["targets"]:
            text = target["expr"]
            for name, value in _VARIABLES.items():
                text = text.replace(name, value)
            queries.append(text)
    return queries
