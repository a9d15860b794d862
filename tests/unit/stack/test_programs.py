from configparser import RawConfigParser
from pathlib import Path

from trimtab.stack.ports import Ports
from trimtab.stack.programs import programs, supervisor_text

PORTS = Ports(airflow=18080, tasks=18081, mlflow=15000, service=18000)


def _read(home: Path) -> RawConfigParser:
    parser = RawConfigParser()
    parser.read_string(supervisor_text(home, home / "stack" / "supervisor.sock", programs(home, PORTS)))
    return parser


def test_the_stack_is_six_programs(tmp_path):
    assert [one.name for one in programs(tmp_path, PORTS)] == [
        "mlflow",
        "service",
        "airflow-api-server",
        "airflow-task-api",
        "airflow-dag-processor",
        "airflow-scheduler",
    ]


def test_airflow_waits_for_its_database(tmp_path):
    waiting = {one.name for one in programs(tmp_path, PORTS) if not one.autostart}
    assert waiting == {"airflow-api-server", "airflow-task-api", "airflow-dag-processor", "airflow-scheduler"}


def test_the_scheduler_ends_first(tmp_path):
    assert max(programs(tmp_path, PORTS), key=lambda one: one.priority).name == "airflow-scheduler"


def test_tasks_report_to_a_process_of_their_own(tmp_path):
    commands = {one.name: " ".join(one.command) for one in programs(tmp_path, PORTS)}
    assert commands["airflow-api-server"].endswith("--port 18080 --apps core")
    assert commands["airflow-task-api"].endswith("--port 18081 --apps execution")


def test_servers_listen_on_the_loopback_only(tmp_path):
    commands = {one.name: " ".join(one.command) for one in programs(tmp_path, PORTS)}
    assert "--host 127.0.0.1 --port 15000" in commands["mlflow"]
    assert "--bind 127.0.0.1:18000" in commands["service"]


def test_supervisor_reads_each_program(tmp_path):
    parser = _read(tmp_path)
    assert parser["program:service"]["command"].endswith("-m trimtab.serve --bind 127.0.0.1:18000")
    assert parser["program:airflow-scheduler"]["environment"] == 'TRIMTAB_PRELOAD="1"'
    assert parser["program:mlflow"]["environment"] == ""


def test_a_path_with_a_percent_sign_and_a_space_survives(tmp_path):
    parser = _read(tmp_path / "50% of it")
    assert "'sqlite:///" in parser["program:mlflow"]["command"]
    assert "50%% of it/logs/mlflow.log" in parser["program:mlflow"]["stdout_logfile"]
