import pytest

from tests.unit.stack.test_config import TREE
from trimtab.errors import StoreUnreachable
from trimtab.stack import airflow_api, config
from trimtab.stack.ports import Ports


def test_an_airflow_that_does_not_run_is_named_with_its_variable():
    api = airflow_api.AirflowApi("http://127.0.0.1:9", "admin", "secret")
    with pytest.raises(StoreUnreachable, match="Airflow at http://127.0.0.1:9 .*TRIMTAB_AIRFLOW_PORT"):
        api.get("/api/v2/dags")


def test_a_client_knows_the_ports_of_the_environment_before_the_first_start(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIMTAB_AIRFLOW_PORT", "18080")
    config.environment(tmp_path, Ports(airflow=18080, tasks=18081, mlflow=15000, service=18000), TREE)
    assert airflow_api.connect(tmp_path).url == "http://127.0.0.1:18080"
