"""The services that the environment names: does each answer, and does it know what it has to?"""

import os
from typing import Any

import requests

from trimtab.errors import Unfit
from trimtab.ops.doctor.finding import Doubt
from trimtab.origin.commands import without_credentials

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
        Unfit: No answer within five seconds, or one that is no success.
    """
    try:
        with requests.Session() as client:
            client.trust_env = False
            answer = client.get(url, timeout=_ANSWER_SECONDS)
        answer.raise_for_status()
    except requests.RequestException as error:
        got = error.response.status_code if error.response is not None else type(error).__name__
        what = f"{without_credentials(url)} does not answer with a success ({got})"
        raise Unfit(what, f"Start it, or correct {variable}.") from error
    return answer


def _base(variable: str) -> str | None:
    return os.environ.get(variable, "").rstrip("/") or None


def ready(variable: str, path: str) -> str:
    """Ask a service whether it is ready."""
    base = _base(variable)
    if base is None:
        return f"not set up: {variable} names none"
    ask(base + path, variable)
    return "ready"


def airflow() -> str:
    """Ask Airflow for each of its components.

    Raises:
        Unfit: It does not answer, or one of them does not live.
    """
    variable, path = READY["Airflow"]
    base = _base(variable)
    if base is None:
        return f"not set up: {variable} names none"
    parts = {name: one["status"] for name, one in ask(base + path, variable).json().items()}
    ill = [f"{name} is {status}" for name, status in parts.items() if status not in ("healthy", None)]
    if ill:
        raise Unfit(f"Airflow's {', '.join(ill)}", "Start it, and look at its log.")
    return ", ".join(name for name, status in parts.items() if status) + " healthy"


def prometheus() -> str | Doubt:
    """Ask Prometheus whether it has our rules, and hears from what it scrapes."""
    base = _base(PROMETHEUS)
    if base is None:
        return f"not set up: {PROMETHEUS} names none"
    groups = _data(base + "/api/v1/rules", PROMETHEUS)["groups"]
    names = [rule["name"] for group in groups for rule in group["rules"] if rule["type"] == "alerting"]
    ours = [name for name in names if name.startswith("Trimtab")]
    if not ours:
        return Doubt(found=f"{len(names)} alerts, none of trimtab's. Load deploy/prometheus/rules/*.yml.")
    targets = _data(base + "/api/v1/targets?state=active", PROMETHEUS)["activeTargets"]
    down = [f"{one['scrapePool']} ({one['lastError']})" for one in targets if one["health"] == "down"]
    if down:
        return Doubt(found=f"does not hear from {', '.join(down)}. See docs/how-to/runbooks.md.")
    if not _data(base + "/api/v1/alertmanagers", PROMETHEUS)["activeAlertmanagers"]:
        return Doubt(found="knows no Alertmanager: nobody hears of an alert. Name it below `alerting`.")
    return f"{len(ours)} alerts, {len(targets)} targets"


def alertmanager() -> str | Doubt:
    """Ask Alertmanager whether alerts that want a retraining get to the loop."""
    base = _base(ALERTMANAGER)
    if base is None:
        return f"not set up: {ALERTMANAGER} names none"
    config = ask(base + "/api/v2/status", ALERTMANAGER).json()["config"]["original"]
    if _WEBHOOK not in config:
        return Doubt(
            found=f"no receiver calls Airflow's {_WEBHOOK}: an alert asks for no retraining. "
            "Compare with deploy/alertmanager/alertmanager.yml."
        )
    return "calls the loop's receiver"


def _data(url: str, variable: str) -> dict[str, Any]:
    found: dict[str, Any] = ask(url, variable).json()["data"]
    return found
