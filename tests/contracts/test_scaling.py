"""docs/how-to/scaling.md names nothing that is not there."""

import re
from pathlib import Path

import pytest
import yaml

from trimtab import params
from trimtab.train.fit import build

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/scaling.md").read_text()
CODE = "\n".join(
    path.read_text()
    for folder in ("src/trimtab", "dags", "plugins")
    for path in (ROOT / folder).rglob("*.py")
)
SET = {
    "CeleryExecutor": ("docker-compose.yaml",),
    "KubernetesExecutor": ("deploy/kubernetes/base/airflow.env", "deploy/kubernetes/secrets.yaml"),
}
"""Where the settings of an executor stand."""


@pytest.mark.parametrize("executor", SET)
def test_the_settings_of_an_executor_are_those_that_its_deployment_sets(executor: str) -> None:
    (row,) = (line for line in PAGE.splitlines() if line.startswith(f"| {executor} | `AIRFLOW__"))
    texts = "\n".join((ROOT / name).read_text() for name in SET[executor])
    named = re.findall(r"`((?:AIRFLOW__|TRIMTAB_)\w+)", row)
    assert len(named) >= 4
    assert [name for name in named if not re.search(rf"\b{name}\b", texts)] == []


def test_figures_and_alerts_are_known() -> None:
    figures = set(re.findall(r"`(trimtab_[a-z_]+?)(?:_total)?`", PAGE))
    rules = "\n".join(path.read_text() for path in (ROOT / "deploy/prometheus/rules").glob("*.yml"))
    alerts = set(re.findall(r"\bTrimtab[A-Z]\w+", PAGE))
    assert min(len(figures), len(alerts)) > 3
    assert [name for name in figures if f'"{name}"' not in CODE] == []
    assert [name for name in alerts if f"alert: {name}\n" not in rules] == []


def test_files_and_parameters_are_there() -> None:
    paths = re.findall(r"`((?:src|tests|docs|deploy|benchmarks)/[\w./-]+)`", PAGE)
    assert len(paths) > 5
    assert [path for path in paths if not (ROOT / path).exists()] == []
    parameters = yaml.safe_load((ROOT / params.FILE).read_text())
    dotted = re.findall(rf"`((?:{'|'.join(parameters)})\.[a-z_.]+)`", PAGE)
    for key in dotted:
        place = parameters
        for part in key.split("."):
            assert part in place, key
            place = place[part]
    assert len(set(dotted)) > 5


def test_the_estimator_of_the_page_can_be_chosen() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    shown = yaml.safe_load(block)["model"]
    parameters = params.load(ROOT / params.FILE)
    supported = {name: shown[name] for name in ("estimator", "settings")}
    pipeline = build(parameters.model_copy(update={"model": parameters.model.model_copy(update=supported)}))
    assert pipeline.named_steps["estimator"].scheduler == "tcp://dask-scheduler:8786"
    assert shown["estimator"] in shown["trusted_types"]
