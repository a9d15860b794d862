"""The files of Docker and Compose, as far as they can be judged without a daemon; `make verify AREA=compose` runs them."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.rules import variables_read
from tests.support.builders import ROOT

TOOLS = ROOT / ".venv" / "tools" / "bin"
OTHERS = ("postgres", "mongodb", "redis")
"""Images of others that set up their data folder as root."""
ENDS = ("airflow-init", "demo")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that Compose needs, in a folder of their own, with secrets made."""
    folder = tmp_path_factory.mktemp("compose")
    shutil.copy(ROOT / "docker-compose.yaml", folder)
    shutil.copytree(ROOT / "deploy", folder / "deploy", ignore=shutil.ignore_patterns("secrets", "made"))
    said("bash", "deploy/compose/make-secrets.sh", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def composed(tree: Path) -> dict[str, Any]:
    """What Compose makes of the file."""
    text = said(str(TOOLS / "docker-compose"), "--profile", "*", "config", "--format", "json", cwd=tree)
    for path in (tree / "deploy/compose/secrets").iterdir():
        assert path.read_text() not in text, f"{path.name} is in the configuration"
    services: dict[str, Any] = json.loads(text)
    return services


def test_compose_refuses_a_wrong_file_with_an_exit_status(tmp_path: Path) -> None:
    (tmp_path / "docker-compose.yaml").write_text("services: [not, a, mapping]\n")
    done = subprocess.run([TOOLS / "docker-compose", "config"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0


def said(*command: str, cwd: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if name not in ("VERSION", "REGISTRY")}
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=clean)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_dockerfile_is_as_hadolint_wants_it() -> None:
    said(str(TOOLS / "hadolint"), "deploy/docker/Dockerfile", cwd=ROOT)


def test_hadolint_finds_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM debian\nRUN cd /tmp && sudo ls\n")
    done = subprocess.run([TOOLS / "hadolint", tmp_path / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 1 and "DL3006" in done.stdout and "DL3004" in done.stdout


def test_scripts_are_as_shellcheck_wants_them() -> None:
    scripts = [str(path) for path in sorted((ROOT / "deploy").rglob("*.sh"))]
    assert len(scripts) >= 3
    said(str(TOOLS / "shellcheck"), *scripts, cwd=ROOT)


def test_what_an_image_copies_is_in_the_build_context() -> None:
    text = (ROOT / "deploy/docker/Dockerfile").read_text()
    included = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    ]
    for line in re.findall(r"^COPY (?!--from)(?:--\S+ )*(.+) \S+$", text, re.MULTILINE):
        for source in line.split():
            assert (ROOT / source).exists(), source
            assert source == "." or any(Path(source).is_relative_to(pattern) for pattern in included), source
    assert "COPY ." in text and all((ROOT / pattern).exists() for pattern in included)


def test_every_image_runs_as_nobody_in_particular_and_says_its_commit() -> None:
    stages = re.split(r"^FROM ", (ROOT / "deploy/docker/Dockerfile").read_text(), flags=re.MULTILINE)
    final = {stage.split()[2]: stage for stage in stages if "USER" in stage}
    assert set(final) == {"airflow", "mlflow", "serve", "trainer"}
    for name, stage in final.items():
        assert "USER 10001" in stage and 'revision="${COMMIT}"' in stage, name
        assert "apt-get" not in stage and "pip " not in stage, name


def test_ours_can_write_nowhere_but_in_their_volumes_and_gain_nothing(composed: dict[str, Any]) -> None:
    for name, service in composed["services"].items():
        assert "no-new-privileges:true" in service["security_opt"], name
        assert service.get("privileged") is None and service.get("network_mode") is None, name
        if name not in OTHERS:
            assert service["read_only"] is True and service["cap_drop"] == ["ALL"], name


def test_all_that_stays_up_is_limited_and_restarted(composed: dict[str, Any]) -> None:
    for name, service in composed["services"].items():
        if name in ENDS:
            assert service["restart"] == "no", name
        else:
            assert service["restart"] == "unless-stopped", name
            assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}, name


def test_nothing_listens_beyond_this_machine(composed: dict[str, Any]) -> None:
    published = [port for service in composed["services"].values() for port in service.get("ports", [])]
    assert len(published) == 6
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}
    assert composed["networks"]["back"]["internal"] is True


def test_who_waits_for_another_waits_for_its_health(composed: dict[str, Any]) -> None:
    own = {"mlflow", "service"}  # their images say how they are
    for name, service in composed["services"].items():
        for other, how in service.get("depends_on", {}).items():
            if other in ENDS:
                assert how["condition"] == "service_completed_successfully", name
            else:
                assert how["condition"] == "service_healthy", name
                assert other in own or "healthcheck" in composed["services"][other], other


def test_every_secret_is_made_and_used_and_made_once(tree: Path, composed: dict[str, Any]) -> None:
    folder = tree / "deploy/compose/secrets"
    before = {path.name: path.read_text() for path in folder.iterdir()}
    used = {
        secret["source"] for service in composed["services"].values() for secret in service.get("secrets", [])
    }
    assert set(before) == set(composed["secrets"]) == used
    assert len(set(before.values())) == len(before) and all(before.values())
    said("bash", "deploy/compose/make-secrets.sh", cwd=tree)
    assert {path.name: path.read_text() for path in folder.iterdir()} == before
    assert folder.stat().st_mode & 0o777 == 0o700


def test_every_airflow_setting_is_one_that_airflow_has(composed: dict[str, Any]) -> None:
    from airflow.configuration import conf

    names = {name for service in composed["services"].values() for name in service.get("environment") or {}}
    names |= set(composed["secrets"])
    settings = [name.split("__")[1:] for name in sorted(names) if name.startswith("AIRFLOW__")]
    assert len(settings) > 15
    for section, option in settings:
        described = conf.configuration_description[section.lower()]["options"]
        assert option.lower() in described, f"{section}.{option}"


def test_every_variable_of_ours_is_read_somewhere(composed: dict[str, Any]) -> None:
    names = {name for service in composed["services"].values() for name in service.get("environment") or {}}
    ours = {name for name in names | set(composed["secrets"]) if name.startswith("TRIMTAB_")}
    assert len(ours) > 8
    assert ours - variables_read() == set()


def test_the_monitoring_in_containers_names_containers(tree: Path) -> None:
    made = tree / "deploy/compose/made"
    for name in ("prometheus/prometheus.yml", "alertmanager/alertmanager.yml"):
        text = (made / name).read_text()
        assert "127.0.0.1" not in re.sub(r"#.*", "", text) and "/run/secrets/alerts-token" in text, name
    datasource = (made / "grafana/provisioning/datasources/trimtab.yml").read_text()
    assert "http://prometheus:9090" in datasource
    (made / "prometheus/prometheus.yml").write_text(
        (made / "prometheus/prometheus.yml").read_text().replace("/run/secrets/alerts-token", str(made))
    )
    said("promtool", "check", "config", "--syntax-only", str(made / "prometheus/prometheus.yml"), cwd=tree)
    said("amtool", "check-config", str(made / "alertmanager/alertmanager.yml"), cwd=tree)


def test_the_packages_of_each_image_are_listed(tmp_path: Path) -> None:
    said("make", "sbom", cwd=ROOT)
    for name in ("airflow", "mlflow", "serve", "trainer"):
        bill = json.loads((ROOT / "build" / "sbom" / f"{name}.json").read_text())
        listed = {f"{component['name']}=={component['version']}" for component in bill["components"]}
        pins = (ROOT / "deploy/docker" / f"{name}.txt").read_text()
        assert bill["bomFormat"] == "CycloneDX"
        assert listed == {pin.lower() for pin in re.findall(r"^[\w.-]+==[^ ;]+", pins, re.MULTILINE)}


def test_no_secret_is_in_the_tree_and_one_would_be_found(tmp_path: Path) -> None:
    said("make", "scan-secrets", cwd=ROOT)
    key = "AKIA" + "IOSFODNN7EXAMPLE"
    (tmp_path / "settings.py").write_text(f'key = "{key}"\n')
    done = subprocess.run(
        [TOOLS / "detect-secrets-hook", "settings.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1 and "AWS Access Key" in done.stdout
