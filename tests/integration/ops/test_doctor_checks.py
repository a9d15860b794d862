"""Checks of `trimtab ops doctor` that need no loop."""

import http.server
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import psutil
import pytest

from tests.integration.test_origin import stores_below
from tests.support.monitoring import _ready, free_ports, until
from trimtab.errors import StoreUnreachable
from trimtab.ops.doctor import clocks, machine, secret_files, services
from trimtab.ops.doctor.finding import Doubt
from trimtab.ops.doctor.store_checks import Places


def doubt(found: object) -> str:
    assert isinstance(found, Doubt), found
    print(found.found)
    return found.found


def test_a_package_of_another_version_is_named(tmp_path: Path) -> None:
    pins = tmp_path / "requirements.txt"
    there = f"""numpy=={metadata.version("numpy")} \\\n    --hash=sha256:aa\nnot-installed==1\n"""
    pins.write_text(there)
    assert machine.packages(pins) == "the 1 installed are those of requirements.txt"
    pins.write_text(
        there + "flask==1.0 ; python_full_version >= '3.11' \\\nscipy==1 ; python_version < '3'\n"
    )
    wanted = f"flask: expected 1.0, got {metadata.version('flask')}. Run `make setup`"
    assert doubt(machine.packages(pins)).startswith(wanted)


def test_what_was_pinned_is_what_is_installed() -> None:
    assert "installed are those of" in str(machine.packages(Path(__file__).parents[3] / "requirements.txt"))


def test_a_secret_in_a_folder_that_others_may_enter_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "private"))
    folder = tmp_path / "deploy" / "compose" / "secrets"
    folder.mkdir(parents=True)
    (folder / "ledger-password").write_text("secret")
    (folder / "ledger-password").chmod(0o644)
    folder.chmod(0o700)
    assert secret_files.exposed(tmp_path / "var", tmp_path) == "1 files of secrets, read by their owner only"
    folder.chmod(0o755)
    assert f"chmod go-rwx {folder}/ledger-password" in doubt(secret_files.exposed(tmp_path / "var", tmp_path))
    (folder / "ledger-password").chmod(0o600)
    assert isinstance(secret_files.exposed(tmp_path / "var", tmp_path), str)


class _Late(http.server.BaseHTTPRequestHandler):
    seconds = 0.0

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string((timestamp or clocks.datetime.now().timestamp()) + self.seconds)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("seconds", "said"), [(0, "as MLflow have it"), (-3600, "MLflow is -3600 s")])
def test_a_clock_that_is_off_is_named(
    seconds: float, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRIMTAB_NOW", raising=False)
    handler = type("Clock", (_Late,), {"seconds": seconds})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = replace(stores_below(tmp_path), mlflow=f"http://127.0.0.1:{server.server_port}")
        found = clocks.clock(where)
        server.shutdown()
    text = doubt(found) if seconds else str(found)
    assert said.split(" is -")[0] in text
    assert (seconds == 0) or -3602 <= int(text.split("MLflow is ")[1].split(" s")[0]) <= -3598


def test_settings_that_change_what_a_time_means_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DEFAULT_TIMEZONE", "Europe/Berlin")
    assert "AIRFLOW__CORE__DEFAULT_TIMEZONE is Europe/Berlin" in doubt(clocks.clock(stores_below(tmp_path)))
    monkeypatch.setenv("TRIMTAB_NOW", "2026-01-01T00:00:00+00:00")
    assert "TRIMTAB_NOW stops it at 2026-01-01" in doubt(clocks.clock(stores_below(tmp_path)))


@contextmanager
def running(folder: Path, name: str, config: str, *options: str) -> Iterator[str]:
    (port,) = free_ports(1)
    (folder / "config.yml").write_text(config)
    words = [name, f"--config.file={folder}/config.yml", f"--web.listen-address=127.0.0.1:{port}", *options]
    with (folder / f"{name}.log").open("w") as log, subprocess.Popen(words, stderr=log) as process:
        try:
            until(lambda: _ready(f"http://127.0.0.1:{port}/-/ready"))
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def test_a_prometheus_and_an_alertmanager_that_know_nothing_of_trimtab_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path, "prometheus", "{}", f"--storage.tsdb.path={tmp_path}/tsdb") as url:
        monkeypatch.setenv("TRIMTAB_PROMETHEUS_URL", url)
        assert "none of trimtab's. Load deploy/prometheus/rules" in doubt(services.prometheus())
    nobody = "{route: {receiver: nobody}, receivers: [{name: nobody}]}"
    options = (f"--storage.path={tmp_path}/silences", "--cluster.listen-address=")
    with running(tmp_path, "prometheus-alertmanager", nobody, *options) as url:
        monkeypatch.setenv("TRIMTAB_ALERTMANAGER_URL", url)
        assert "no receiver calls Airflow's /trimtab/prometheus/alerts" in doubt(services.alertmanager())


def test_a_remote_that_never_answers_is_given_up_with_the_process_that_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/data"
        monkeypatch.setenv("TRIMTAB_DVC_REMOTE_URL", url)
        places = Places(replace(stores_below(tmp_path), dvc_remote=url), seconds=12)
        with pytest.raises(StoreUnreachable, match=r"no end after 12 s.*TRIMTAB_DVC_REMOTE_URL") as refused:
            places.remote()
    print(refused.value)
    assert not [one for one in psutil.Process().children(recursive=True) if "probing" in str(one.cmdline())]
