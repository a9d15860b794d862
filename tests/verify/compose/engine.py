"""A Docker engine of our own: Debian's dockerd on a folder and a socket that nobody else uses."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = {
    "dockerd": "docker.io",
    "debootstrap": "debootstrap",
    "iptables": "iptables",
    "docker-registry": "docker-registry",
}
PATIENCE_SECONDS = 60


class Engine:
    """What talks to the daemon on one socket."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Debian's client builds with its own daemon; a newer one wants a plug-in for it.
        path = f"/usr/bin{os.pathsep}{os.environ['PATH']}"
        self.environment = {
            **os.environ,
            "DOCKER_HOST": f"unix://{folder}/docker.sock",
            "DOCKER_BUILDKIT": "1",
            "PATH": path,
        }

    def docker(self, *words: str, stdin: int | None = None) -> str:
        """Run one command and return its output; it raises with what was said."""
        done = subprocess.run(
            ["/usr/bin/docker", *words], env=self.environment, stdin=stdin, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"docker {' '.join(words)}: {done.stderr or done.stdout}")
        return done.stdout.strip()


def install() -> None:
    """Install what is missing from Debian; it does not start."""
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if missing:
        print(f"Installing {', '.join(missing)}", flush=True)
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *missing]):
            subprocess.run(["apt-get", *command], check=True, stdout=subprocess.DEVNULL)


@contextmanager
def running(folder: Path, variables: Mapping[str, str]) -> Iterator[Engine]:
    """Start dockerd on a folder, and end it."""
    install()
    engine = Engine(folder)
    engine.environment |= variables
    with (folder / "dockerd.log").open("wb") as log:
        daemon = subprocess.Popen(
            [
                "/usr/sbin/dockerd",
                f"--data-root={folder}/data",
                f"--exec-root={folder}/exec",
                f"--pidfile={folder}/pid",
                f"--host=unix://{folder}/docker.sock",
                "--storage-driver=overlay2",
                "--iptables=false",
                "--ip-forward=false",
                "--ip-masq=false",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            try:
                engine.docker("info")
                break
            except RuntimeError:
                time.sleep(1)
        print(f"dockerd {engine.docker('version', '--format', '{{.Server.Version}}')} runs", flush=True)
        yield engine
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(PATIENCE_SECONDS)
