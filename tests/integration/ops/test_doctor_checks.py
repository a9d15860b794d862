"""Checks of the doctor that need no loop."""

import http.server
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import psutil
import pytest

from tests.integration.test_origin import stores_below
from tests.support.monitoring import wait_ready
from tests.support.waiting import free_port
from trimtab.errors import StoreUnreachable
from trimtab.ops.doctor import clocks, machine, services
from trimtab.ops.doctor.finding import Warn
from trimtab.ops.doctor.store_checks import Places


def warning(result: object) -> str:
    assert isinstance(result, Warn), result
    print(result.message)
    return result.message


def test_a_package_of_another_version_is_named(tmp_path: Path) -> None:
    pins = tmp_path / "requirements.txt"
    pinned = f"""numpy=={metadata.version("numpy")} \\\n    --hash=sha256:aa\nnot-installed==1\n"""
    pins.write_text(pinned)
    assert machine.packages(pins) == "the 1 installed are those of requirements.txt"
    pins.write_text(
        pinned + "flask==1.0 ; python_full_version >= '3.11' \\\nscipy==1 ; python_version < '3'\n"
    )
    text = f"flask: expected 1.0, got {metadata.version('flask')}. Run `make setup`"
    assert warning(machine.packages(pins)).startswith(text)


def test_the_pinned_versions_are_installed() -> None:
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
    assert (
        machine.secret_files(tmp_path / "var", tmp_path)
        == "1 files with secrets, readable by their owner only"
    )
    folder.chmod(0o755)
    assert f"chmod go-rwx {folder}/ledger-password" in warning(
        machine.secret_files(tmp_path / "var", tmp_path)
    )
    (folder / "ledger-password").chmod(0o600)
    assert isinstance(machine.secret_files(tmp_path / "var", tmp_path), str)


def test_a_checkout_whose_password_others_can_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "private"))
    home, tree = tmp_path / "var", tmp_path / "tree"
    for checkout, url in (("run", "https://me:hunter2@host/data"), ("clone-1/clone", "/srv/data")):
        config = home / "work" / checkout / ".dvc" / "config.local"
        config.parent.mkdir(parents=True)
        config.write_text(f"['remote \"storage\"']\n    url = {url}\n")
        config.chmod(0o644)
    named = warning(machine.secret_files(home, tree))
    assert f"chmod go-rwx {home}/work/run/.dvc/config.local;" in named
    assert "clone-1" not in named
    (home / "work" / "run").chmod(0o700)
    assert machine.secret_files(home, tree) == "1 files with secrets, readable by their owner only"


class _Late(http.server.BaseHTTPRequestHandler):
    seconds = 0.0

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string((timestamp or clocks.datetime.now().timestamp()) + self.seconds)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("seconds", "said"), [(0, "agrees with MLflow"), (-3600, "MLflow is -3600 s")])
def test_a_clock_that_is_off_is_named(
    seconds: float, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRIMTAB_NOW", raising=False)
    handler = type("Clock", (_Late,), {"seconds": seconds})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = stores_below(tmp_path, mlflow=f"http://127.0.0.1:{server.server_port}")
        result = clocks.clock(where)
        server.shutdown()
    text = warning(result) if seconds else str(result)
    assert said.split(" is -")[0] in text
    assert (seconds == 0) or -3602 <= int(text.split("MLflow is ")[1].split(" s")[0]) <= -3598


def test_settings_that_change_what_a_time_means_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DEFAULT_TIMEZONE", "Europe/Berlin")
    assert "AIRFLOW__CORE__DEFAULT_TIMEZONE is Europe/Berlin" in warning(clocks.clock(stores_below(tmp_path)))
    monkeypatch.setenv("TRIMTAB_NOW", "2026-01-01T00:00:00+00:00")
    assert "TRIMTAB_NOW stops it at 2026-01-01" in warning(clocks.clock(stores_below(tmp_path)))


@contextmanager
def running(folder: Path, name: str, config: str, *options: str) -> Iterator[str]:
    port = free_port()
    (folder / "config.yml").write_text(config)
    words = [name, f"--config.file={folder}/config.yml", f"--web.listen-address=127.0.0.1:{port}", *options]
    with (folder / f"{name}.log").open("w") as log, subprocess.Popen(words, stderr=log) as process:
        try:
            wait_ready(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def test_a_prometheus_and_an_alertmanager_without_trimtab_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path, "prometheus", "{}", f"--storage.tsdb.path={tmp_path}/tsdb") as url:
        assert "none of trimtab's. Load deploy/prometheus/rules" in warning(services.prometheus(url))
    nobody = "{route: {receiver: nobody}, receivers: [{name: nobody}]}"
    options = (f"--storage.path={tmp_path}/silences", "--cluster.listen-address=")
    with running(tmp_path, "prometheus-alertmanager", nobody, *options) as url:
        assert "no receiver calls Airflow's /trimtab/prometheus/alerts" in warning(services.alertmanager(url))


def test_the_probe_of_a_remote_that_never_answers_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/data"
        monkeypatch.setenv("TRIMTAB_DVC_REMOTE_URL", url)
        places = Places(stores_below(tmp_path, dvc_remote=url), seconds=12)
        with pytest.raises(StoreUnreachable, match=r"no end after 12 s.*TRIMTAB_DVC_REMOTE_URL") as refused:
            places.remote()
    print(refused.value)
    children = psutil.Process().children(recursive=True)
    assert not [child for child in children if "probing" in str(child.cmdline())]
