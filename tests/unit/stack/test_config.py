import json
import os
import sys
from pathlib import Path

import pytest

from trimtab.errors import ParamsError
from trimtab.settings import Ports
from trimtab.stack import config

TREE = Path(__file__).parents[3]
PORTS = Ports(airflow=18080, tasks=18081, mlflow=15000, service=18000)


@pytest.fixture
def environment(tmp_path):
    return config.environment(tmp_path, PORTS, TREE)


def test_every_path_is_absolute(environment, tmp_path):
    places = {
        name: environment[name] for name in ("TRIMTAB_HOME", "AIRFLOW_HOME", "AIRFLOW__CORE__DAGS_FOLDER")
    }
    assert places == {
        "TRIMTAB_HOME": str(tmp_path),
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(TREE / "dags"),
    }


def test_a_relative_home_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert config.environment(Path("var"), PORTS, TREE)["TRIMTAB_HOME"] == str(tmp_path / "var")


def test_servers_listen_on_the_loopback_address(environment):
    assert environment["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:15000"
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:18081/execution/"


def test_telemetry_is_off(environment):
    assert environment["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] == "False"
    assert {
        environment[name] for name in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "DVC_NO_ANALYTICS")
    } == {"true"}


def test_this_python_comes_first_for_mlflow_projects(environment):
    assert environment["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)


def test_assets_are_named_after_the_trees_model(environment):
    assert environment["TRIMTAB_MODEL"] == "flight-delay"


def test_an_invalid_params_file_is_refused(tmp_path):
    (tmp_path / "params.yaml").write_text("version: 2\n")
    with pytest.raises(ParamsError, match="params.yaml"):
        config.environment(tmp_path / "var", PORTS, tmp_path)


def test_secrets_are_made_once_and_are_long_enough(environment, tmp_path):
    again = config.environment(tmp_path, PORTS, TREE)
    assert again["AIRFLOW__API_AUTH__JWT_SECRET"] == environment["AIRFLOW__API_AUTH__JWT_SECRET"]
    assert len(environment["AIRFLOW__API_AUTH__JWT_SECRET"]) >= 64


def test_two_homes_have_two_secrets(environment, tmp_path):
    other = config.environment(tmp_path / "other", PORTS, TREE)
    assert other["AIRFLOW__API_AUTH__JWT_SECRET"] != environment["AIRFLOW__API_AUTH__JWT_SECRET"]


def test_passwords_are_for_the_owner_only(environment, tmp_path):
    path = config.passwords_file(tmp_path)
    assert path.stat().st_mode & 0o077 == 0
    assert set(json.loads(path.read_text())) == {"admin", "viewer"}
    assert environment["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"] == str(path)


def test_the_secret_of_alerts_is_made_once_for_the_owner_only(environment, tmp_path):
    path = config.alerts_token_file(tmp_path)
    assert environment["TRIMTAB_ALERTS_TOKEN_FILE"] == str(path)
    before = path.read_text()
    assert len(before) >= 40 and path.stat().st_mode & 0o077 == 0
    config.environment(tmp_path, PORTS, TREE)
    assert path.read_text() == before
