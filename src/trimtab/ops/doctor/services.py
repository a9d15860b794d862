"""Check the services that the environment names: does each answer, and is it configured for trimtab?"""

from typing import Any

import requests

from trimtab.errors import Unfit
from trimtab.ops.doctor.finding import Warn
from trimtab.settings import Settings

_WEBHOOK = "/trimtab/prometheus/alerts"
_ANSWER_SECONDS = 5.0


def get_page(url: str, **options: Any) -> requests.Response:
    """Get a page without a proxy, within five seconds; `options` are those of `requests`."""
    with requests.Session() as client:
        client.trust_env = False
        return client.get(url, timeout=_ANSWER_SECONDS, **options)


def ask(url: str, field: str) -> requests.Response:
    """Get a page below the address in a setting, without a proxy.

    Raises:
        Unfit: No answer within five seconds, or an error.
    """
    try:
        answer = get_page(url)
        answer.raise_for_status()
    except requests.RequestException as error:
        got = type(error).__name__ if error.response is None else error.response.status_code
        remedy = f"Start it, or correct {Settings.variable(field)}."
        raise Unfit(f"{url} does not answer with a success ({got})", remedy) from error
    return answer


def model_service(base: str) -> str:
    """Ask the model service whether it is ready."""
    ask(f"{base}/readyz", "service_url")
    return "ready"


def airflow(base: str) -> str:
    """Ask Airflow for each of its components.

    Raises:
        Unfit: It does not answer, or a component is not healthy.
    """
    health = ask(f"{base}/api/v2/monitor/health", "airflow_url").json()
    states = {name: component["status"] for name, component in health.items() if component["status"]}
    ill = [f"{name} is {state}" for name, state in states.items() if state != "healthy"]
    if ill:
        raise Unfit(f"Airflow's {', '.join(ill)}", "Start it, and look at its log.")
    return f"{', '.join(states)} healthy"


def prometheus(base: str) -> str | Warn:
    """Ask Prometheus whether it has trimtab's alerts, can scrape its targets, and has an Alertmanager."""
    groups = _data(base + "/api/v1/rules", "prometheus_url")["groups"]
    names = [rule["name"] for group in groups for rule in group["rules"] if rule["type"] == "alerting"]
    ours = [name for name in names if name.startswith("Trimtab")]
    if not ours:
        return Warn(f"{len(names)} alerts, none of trimtab's. Load deploy/prometheus/rules/*.yml.")
    targets = _data(base + "/api/v1/targets?state=active", "prometheus_url")["activeTargets"]
    down = [f"{each['scrapePool']} ({each['lastError']})" for each in targets if each["health"] == "down"]
    if down:
        return Warn(f"cannot scrape {', '.join(down)}. See docs/how-to/runbooks.md.")
    if not _data(base + "/api/v1/alertmanagers", "prometheus_url")["activeAlertmanagers"]:
        return Warn("has no Alertmanager: nobody is notified of an alert. Name it below `alerting`.")
    return f"{len(ours)} alerts, {len(targets)} targets"


def alertmanager(base: str) -> str | Warn:
    """Ask Alertmanager whether alerts that request a retraining reach the loop."""
    config = ask(base + "/api/v2/status", "alertmanager_url").json()["config"]["original"]
    if _WEBHOOK not in config:
        return Warn(
            f"no receiver calls Airflow's {_WEBHOOK}: no alert can request a retraining. "
            "Compare with deploy/alertmanager/alertmanager.yml."
        )
    return "calls the loop's receiver"


def _data(url: str, field: str) -> dict[str, Any]:
    data: dict[str, Any] = ask(url, field).json()["data"]
    return data
