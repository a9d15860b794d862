"""Check the services that the environment names: does each answer, and is it configured for trimtab?"""

import os
from typing import Any

import requests

from trimtab.errors import Unfit
from trimtab.ops.doctor.finding import Warn

READY = {
    "Airflow": ("TRIMTAB_AIRFLOW_URL", "/api/v2/monitor/health"),
    "model service": ("TRIMTAB_SERVICE_URL", "/readyz"),
}
PROMETHEUS, ALERTMANAGER = "TRIMTAB_PROMETHEUS_URL", "TRIMTAB_ALERTMANAGER_URL"
_WEBHOOK = "/trimtab/prometheus/alerts"
_ANSWER_SECONDS = 5.0


def ask(url: str, variable: str) -> requests.Response:
    """Get a page, from this machine without a proxy.

    Raises:
        Unfit: No answer within five seconds, or an error.
    """
    try:
        with requests.Session() as client:
            client.trust_env = False
            answer = client.get(url, timeout=_ANSWER_SECONDS)
        answer.raise_for_status()
    except requests.RequestException as error:
        got = error.response.status_code if error.response is not None else type(error).__name__
        what = f"{url} does not answer with a success ({got})"
        raise Unfit(what, f"Start it, or correct {variable}.") from error
    return answer


def _base(variable: str) -> str | None:
    return os.environ.get(variable, "").rstrip("/") or None


def ready(variable: str, path: str) -> str:
    """Ask a service whether it is ready."""
    base = _base(variable)
    if base is None:
        return f"not set up: {variable} is not set"
    ask(base + path, variable)
    return "ready"


def airflow() -> str:
    """Ask Airflow for each of its components.

    Raises:
        Unfit: It does not answer, or a component is not healthy.
    """
    variable, path = READY["Airflow"]
    base = _base(variable)
    if base is None:
        return f"not set up: {variable} is not set"
    health = ask(base + path, variable).json()
    states = {name: component["status"] for name, component in health.items() if component["status"]}
    ill = [f"{name} is {state}" for name, state in states.items() if state != "healthy"]
    if ill:
        raise Unfit(f"Airflow's {', '.join(ill)}", "Start it, and look at its log.")
    return f"{', '.join(states)} healthy"


def prometheus() -> str | Warn:
    """Ask Prometheus whether it has trimtab's alerts, can scrape its targets, and has an Alertmanager."""
    base = _base(PROMETHEUS)
    if base is None:
        return f"not set up: {PROMETHEUS} is not set"
    groups = _data(base + "/api/v1/rules", PROMETHEUS)["groups"]
    names = [rule["name"] for group in groups for rule in group["rules"] if rule["type"] == "alerting"]
    ours = [name for name in names if name.startswith("Trimtab")]
    if not ours:
        return Warn(f"{len(names)} alerts, none of trimtab's. Load deploy/prometheus/rules/*.yml.")
    targets = _data(base + "/api/v1/targets?state=active", PROMETHEUS)["activeTargets"]
    down = [
        f"{target['scrapePool']} ({target['lastError']})" for target in targets if target["health"] == "down"
    ]
    if down:
        return Warn(f"cannot scrape {', '.join(down)}. See docs/how-to/runbooks.md.")
    if not _data(base + "/api/v1/alertmanagers", PROMETHEUS)["activeAlertmanagers"]:
        return Warn("has no Alertmanager: nobody is notified of an alert. Name it below `alerting`.")
    return f"{len(ours)} alerts, {len(targets)} targets"


def alertmanager() -> str | Warn:
    """Ask Alertmanager whether alerts that request a retraining reach the loop."""
    base = _base(ALERTMANAGER)
    if base is None:
        return f"not set up: {ALERTMANAGER} is not set"
    config = ask(base + "/api/v2/status", ALERTMANAGER).json()["config"]["original"]
    if _WEBHOOK not in config:
        return Warn(
            f"no receiver calls Airflow's {_WEBHOOK}: no alert can request a retraining. "
            "Compare with deploy/alertmanager/alertmanager.yml."
        )
    return "calls the loop's receiver"


def _data(url: str, variable: str) -> dict[str, Any]:
    data: dict[str, Any] = ask(url, variable).json()["data"]
    return data
