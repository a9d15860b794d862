"""The images: a bare base from Debian's packages, ours on it, and stand-ins for those of others."""

import json
import shutil
import subprocess
import time
from pathlib import Path
from urllib.request import urlopen

from tests.verify.compose.engine import Engine

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
BASE = "python:3.11-slim-bookworm"
STAND_INS = {
    "postgres:16-bookworm": "postgres",
    "redis:7-bookworm": "redis",
    "mongo:7": "mongo",
    "prom/prometheus:v3.5.0": "prometheus",
    "prom/alertmanager:v0.28.1": "alertmanager",
}
OURS = ("airflow", "mlflow", "serve", "trainer")
AUTHORITIES = Path("etc/ssl/certs/ca-certificates.crt")
INCLUDED = "ca-certificates,python3,python3-venv"


def build(engine: Engine) -> None:
    """Build all of them, and print their sizes."""
    base(engine)
    for name, target in STAND_INS.items():
        engine.docker("build", "--quiet", "--network=host", f"--target={target}", f"--tag={name}", str(HERE))
        print(f"{name} is a stand-in: {target} from Debian's packages or PyPI", flush=True)
    began = time.monotonic()
    subprocess.run(
        ["make", "images", "BUILD_FLAGS=--network=host"], cwd=ROOT, env=engine.environment, check=True
    )
    print(f"Our four images took {time.monotonic() - began:.0f} s", flush=True)


def push(engine: Engine, port: int) -> None:
    """Push ours to a registry of our own, under a version and two more tags, and ask it what it holds."""
    settings = engine.folder / "registry.yaml"
    settings.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {engine.folder}/registry}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    with (engine.folder / "registry.log").open("wb") as log:
        registry = subprocess.Popen(["docker-registry", "serve", str(settings)], stdout=log, stderr=log)
    try:
        here = f"127.0.0.1:{port}/trimtab"
        for name in OURS:
            engine.docker("tag", f"docker.io/trimtab/trimtab-{name}:dev", f"{here}/trimtab-{name}:dev")
        words = ["make", "push", f"REGISTRY={here}", "TAGS=main 0123abc"]
        subprocess.run(words, cwd=ROOT, env=engine.environment, check=True, stdout=subprocess.DEVNULL)
        for name in OURS:
            with urlopen(f"http://127.0.0.1:{port}/v2/trimtab/trimtab-{name}/tags/list") as answer:
                tags = sorted(json.load(answer)["tags"])
            if tags != ["0123abc", "dev", "main"]:
                raise RuntimeError(f"trimtab-{name}: the registry holds the tags {tags}")
        print(
            "make push: Debian's docker-registry holds each of ours under dev, main and 0123abc", flush=True
        )
    finally:
        registry.terminate()
        registry.wait(30)
        shutil.rmtree(engine.folder / "registry", ignore_errors=True)


def base(engine: Engine) -> None:
    """Make the stand-in of Python's own image: debootstrap's smallest Debian, its Python, this machine's authorities."""
    folder = engine.folder / "base"
    subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={INCLUDED}", "bookworm", str(folder), mirror()],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    for path in (AUTHORITIES, Path("etc/pip.conf")):
        if (Path("/") / path).is_file():
            (folder / path).write_bytes((Path("/") / path).read_bytes())
    for waste in (*folder.glob("var/cache/apt/archives/*.deb"), *folder.glob("var/lib/apt/lists/*_*")):
        waste.unlink()
    (folder / "usr/bin/python").symlink_to("python3")
    with subprocess.Popen(["tar", "-C", folder, "-c", "."], stdout=subprocess.PIPE) as archive:
        assert archive.stdout is not None
        trusted = f"ENV SSL_CERT_FILE=/{AUTHORITIES}"
        engine.docker("import", "--change", trusted, "-", BASE, stdin=archive.stdout.fileno())
    print(f"{BASE} is a stand-in: debootstrap's minbase with Debian's Python", flush=True)


def mirror() -> str:
    """Return where this machine has its Debian packages from."""
    lists = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("debian*")]
    words = [word for path in lists if path.is_file() for word in path.read_text().split()]
    return next(word for word in words if word.startswith("http") and word.rstrip("/").endswith("/debian"))
