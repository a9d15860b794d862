"""The services that the environment names: does each answer, and does it know what it has to?"""

from typing import Any

import requests

from trimtab import settings
from trimtab.errors import Unfit
from trimtab.ops.doctor.finding import Doubt
from trimtab.origin.commands import without_credentials
from trimtab.settings import Settings

_WEBHOOK = "/trimtab/prometheus/alerts"
_ANSWER_SECONDS = 5.0


def ask(url: str, field: str) -> requests.Response:
    """Get a page below the address in a setting, without a proxy.

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
        raise Unfit(what, f"Start it, or correct {Settings.variable(field)}.") from error
    return answer


def _unset(field: str) -> str:
    return f"not set up: {Settings.variable(field)} names none"


def model_service() -> str:
    """Ask the prediction service whether it is ready."""
    base = settings.read().service_url
    if base is None:
        return _unset("service_url")
    ask(f"{base}/readyz", "service_url")
    return "ready"


def airflow() -> str:
    """Ask Airflow for each of its components.

    Raises:
        Unfit: It does not answer, or one of them does not live.
    """
    base = settings.read().airflow_url
    if base is None:
        return _unset("airflow_url")
    health = ask(f"{base}/api/v2/monitor/health", "airflow_url").json()
    parts = {name: one["status"] for name, one in health.items()}
    ill = [f"{name} is {status}" for name, status in parts.items() if status not in ("healthy", None)]
    if ill:
        raise Unfit(f"Airflow's {', '.join(ill)}", "Start it, and look at its log.")
    return ", ".join(name for name, status in parts.items() if status) + " healthy"


def prometheus() -> str | Doubt:
    """Ask Prometheus whether it has our rules, and hears from what it scrapes."""
    base = settings.read().prometheus_url
    if base is None:
        return _unset("prometheus_url")
    groups = _data(base + "/api/v1/rules", "prometheus_url")["groups"]
    names = [rule["name"] for group in groups for rule in group["rules"] if rule["type"] == "alerting"]
    ours = [name for name in names if name.startswith("Trimtab")]
    if not ours:
        return Doubt(found=f"{len(names)} alerts, none of trimtab's. Load deploy/prometheus/rules/*.yml.")
    targets = _data(base + "/api/v1/targets?state=active", "prometheus_url")["activeTargets"]
    down = [f"{one['scrapePool']} ({one['lastError']})" for one in targets if one["health"] == "down"]
    if down:
        return Doubt(found=f"does not hear from {', '.join(down)}. See docs/runbooks.md.")
    if not _data(base + "/api/v1/alertmanagers", "prometheus_url")["activeAlertmanagers"]:
        return Doubt(found="knows no Alertmanager: nobody hears of an alert. Name it below `alerting`.")
    return f"{len(ours)} alerts, {len(targets)} targets"


def alertmanager() -> str | Doubt:
    """Ask Alertmanager whether alerts that want a retraining get to the loop."""
    base = settings.read().alertmanager_url
    if base is None:
        return _unset("alertmanager_url")
    config = ask(base + "/api/v2/status", "alertmanager_url").json()["config"]["original"]
    if _WEBHOOK not in config:
        return Doubt(
            found=f"no receiver calls Airflow's {_WEBHOOK}: an alert asks for no retraining. "
            "Compare with deploy/alertmanager/alertmanager.yml."
        )
    return "calls the loop's receiver"


def _data(url: str, field: str) -> dict[str, Any]:
    found: dict[str, Any] = ask(url, field).json()["data"]
    return found
