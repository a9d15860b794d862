"""What stands in deploy/: each alert is tested, has its runbook and goes where it should; each expression parses."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import dashboards

ROOT = Path(__file__).parents[2]
PROMETHEUS, ALERTMANAGER = ROOT / "deploy/prometheus", ROOT / "deploy/alertmanager/alertmanager.yml"
RULES = [
    rule
    for path in sorted(PROMETHEUS.glob("rules/*.yml"))
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
CASES = [
    case
    for path in sorted(PROMETHEUS.glob("tests/*.yml"))
    for test in yaml.safe_load(path.read_text())["tests"]
    for case in test["alert_rule_test"]
]


def output_of(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_its_rules_and_each_alert_does_what_its_tests_say() -> None:
    output_of("promtool", "check", "rules", *map(str, sorted(PROMETHEUS.glob("rules/*.yml"))))
    output_of("promtool", "test", "rules", *map(str, sorted(PROMETHEUS.glob("tests/*.yml"))))


def test_prometheus_and_alertmanager_take_their_files(tmp_path: Path) -> None:
    for path in (PROMETHEUS / "prometheus.yml", ALERTMANAGER):
        target = tmp_path / "deploy" / path.parent.name / path.name
        target.parent.mkdir(parents=True)
        target.write_text(path.read_text())
    (tmp_path / "var").mkdir()
    (tmp_path / "var/alerts.token").write_text("secret")
    output_of("promtool", "check", "config", str(tmp_path / "deploy/prometheus/prometheus.yml"))
    output_of("amtool", "check-config", str(tmp_path / "deploy/alertmanager/alertmanager.yml"))


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_is_shown_to_fire_and_not_to_fire(alert: str) -> None:
    mine = [bool(case["exp_alerts"]) for case in CASES if case["alertname"] == alert]
    assert {True, False} <= set(mine)


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_has_a_severity_a_sentence_and_a_runbook(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in ("page", "ticket", "info")
    assert rule["annotations"]["summary"].endswith(".")
    page, anchor = rule["annotations"]["runbook_url"].split("#")
    sections = re.split(r"^## ", (ROOT / page).read_text(), flags=re.MULTILINE)
    matching = [section for section in sections if section.splitlines()[0].lower() == anchor]
    assert len(matching) == 1
    assert all(word in matching[0] for word in ("*Means:*", "*Look:*", "*Do:*"))


def test_every_runbook_is_of_an_alert() -> None:
    titles = re.findall(r"^## (\S+)$", (ROOT / "docs/how-to/runbooks.md").read_text(), re.MULTILINE)
    assert sorted(titles) == sorted(ALERTS)


def test_what_retrains_is_told_by_model_alone_and_outlives_a_restart_of_the_exporter() -> None:
    retraining = {name: rule for name, rule in ALERTS.items() if rule["labels"].get("action") == "retrain"}
    assert set(retraining) == {"TrimtabPerformanceLow"}
    assert {rule["keep_firing_for"] for rule in retraining.values()} == {"15m"}
    fired = [alert for case in CASES for alert in case["exp_alerts"] if case["alertname"] in retraining]
    assert {frozenset(alert["exp_labels"]) for alert in fired} == {
        frozenset({"model", "severity", "component", "action"})
    }


def routed(*labels: str) -> str:
    return output_of("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}", *labels).strip()


@pytest.mark.parametrize("alert", ALERTS)
def test_people_hear_of_everything_and_the_receiver_of_what_retrains(alert: str) -> None:
    labels = [f"{name}={value}" for name, value in ALERTS[alert]["labels"].items()]
    receivers = "retraining,people" if "action" in ALERTS[alert]["labels"] else "people"
    assert routed(f"alertname={alert}", "model=flight-delay", *labels) == receivers


def test_the_receiver_hears_of_each_alert_alone_with_its_end_and_brings_a_secret_from_a_file() -> None:
    config = yaml.safe_load(ALERTMANAGER.read_text())
    (route,) = [entry for entry in config["route"]["routes"] if entry["receiver"] == "retraining"]
    assert route["group_by"] == ["..."]
    (webhook,) = next(entry for entry in config["receivers"] if entry["name"] == "retraining")[
        "webhook_configs"
    ]
    assert webhook["send_resolved"] is True
    assert set(webhook["http_config"]["authorization"]) == {"credentials_file"}


@pytest.mark.parametrize("path", dashboards.PATHS, ids=lambda path: path.stem)
def test_each_expression_of_a_dashboard_parses(path: Path, tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": expression}
        for number, expression in enumerate(dashboards.expressions(path))
    ]
    assert len(rules) > 10
    content = tmp_path / "rules.yml"
    content.write_text(yaml.safe_dump({"groups": [{"name": path.stem, "rules": rules}]}))
    output_of("promtool", "check", "rules", str(content))


@pytest.mark.parametrize("path", dashboards.PATHS, ids=lambda path: path.stem)
def test_a_dashboard_is_provisioned_names_its_source_and_overlaps_nowhere(path: Path) -> None:
    board: dict[str, Any] = json.loads(path.read_text())
    grafana = ROOT / "deploy/grafana/provisioning"
    (source,) = yaml.safe_load((grafana / "datasources/trimtab.yml").read_text())["datasources"]
    assert yaml.safe_load((grafana / "dashboards/trimtab.yml").read_text())["providers"]
    panels = board["panels"]
    assert {panel["datasource"]["uid"] for panel in panels if panel["type"] != "row"} == {source["uid"]}
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["title"] for panel in panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
