from pathlib import Path

import pytest

from trimtab import settings
from trimtab.clock import system_clock
from trimtab.errors import SettingsError
from trimtab.settings import Ports, Settings


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for group in (Settings, Ports):
        for field in group.model_fields:
            monkeypatch.delenv(group.variable(field), raising=False)


def test_every_store_lies_below_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRIMTAB_HOME", str(tmp_path))
    read = settings.read()
    assert read.origin == str(tmp_path / "origin.git")
    assert read.ledger == f"sqlite:///{tmp_path}/ledger.db"
    assert read.landing == tmp_path / "landing"


def test_relative_folders_are_taken_from_the_working_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRIMTAB_LANDING", "new")
    assert (settings.read().home, settings.read().landing) == (tmp_path / "var", tmp_path / "new")


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in set(Settings.model_fields) - {"service_tokens"}:
        monkeypatch.setenv(Settings.variable(field), "")
    assert settings.read() == Settings()
    assert settings.read().home == Path("var").resolve()


def test_an_empty_secret_of_the_service_is_not_the_same_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIMTAB_SERVICE_TOKENS", "")
    assert settings.read().service_tokens is not None


def test_the_settings_of_a_model_win_in_its_context_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIMTAB_MODEL", "all")
    with settings.for_model({"TRIMTAB_MODEL": "delay", "MLFLOW_TRACKING_URI": "http://mlflow"}):
        assert (settings.read().model, settings.read().mlflow) == ("delay", "http://mlflow")
    assert settings.read().model == "all"


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("TRIMTAB_NOW", "monday", "valid datetime"),
        ("TRIMTAB_NOW", "2026-01-05T12:00", "timezone"),
        ("TRIMTAB_PRELOAD", "perhaps", "valid boolean"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_its_variable(
    variable: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"^{variable}: .*{expected}.*, got '{value}'") as error:
        settings.read()
    assert "docs/reference/settings.md" in str(error.value)


@pytest.mark.parametrize("text", ["http", "0", "65536", "-1", "80.5", "tcp://10.0.0.1:5000"])
def test_what_is_no_port_stops_the_stack_and_nothing_else(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIMTAB_MLFLOW_PORT", text)
    assert settings.read() == Settings()
    with pytest.raises(SettingsError, match=f"^TRIMTAB_MLFLOW_PORT: Input should be .*, got '{text}'"):
        Ports()


def test_the_usual_ports_hold_where_nothing_is_set() -> None:
    assert Ports() == Ports(airflow=8080, tasks=8081, mlflow=5000, service=8000)


def test_a_setting_that_is_needed_and_unset_is_named() -> None:
    with pytest.raises(SettingsError, match="^TRIMTAB_SERVICE_URL: Input should be set, got None"):
        settings.read().require("service_url")


def test_no_password_or_token_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in ("origin", "dvc_remote", "mlflow", "ledger", "prediction_log", "mlflow_backend_url"):
        monkeypatch.setenv(Settings.variable(field), "postgresql://trimtab:hunter2@db/x")
    for field in ("webhook_url", "mlflow_artifacts", "service_tokens", "alerts_token", "github_token"):
        monkeypatch.setenv(Settings.variable(field), "https://hooks/hunter2")
    assert "hunter2" not in repr(settings.read())
    monkeypatch.setenv("TRIMTAB_PRELOAD", "perhaps")
    with pytest.raises(SettingsError) as error:
        settings.read()
    assert "hunter2" not in f"{error.value} {error.value.__cause__}"


def test_the_clock_stands_still_where_the_settings_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIMTAB_NOW", "2026-01-05T12:00:00+01:00")
    assert system_clock().isoformat() == "2026-01-05T11:00:00+00:00"
    monkeypatch.delenv("TRIMTAB_NOW")
    assert system_clock().year >= 2026
