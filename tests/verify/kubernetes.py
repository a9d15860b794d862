"""Has a real API server 1.20 take every object of deploy/kubernetes, and refuse what is wrong.

The server is built from Debian's source of Kubernetes, the newest that can be had here; it stands in var/verify/kubernetes. No
kubelet and no controller runs: that a server takes an object says nothing of its pod.
"""

import copy
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.deploy.checkers import YOUNGER
from tests.deploy.manifests import FOLDER, ONCE, OVERLAYS, Manifest, Objects, name, rendered, task_templates
from tests.integration.remotes.servers import HOST, free_port, running
from tests.verify.compose.images import mirror

HOME = Path(__file__).parents[2] / "var" / "verify" / "kubernetes"
PACKAGES = ("golang-1.19-go", "etcd-server", "dpkg-dev", "rsync", "openssl")
TOO_YOUNG = tuple(f'no matches for kind "{kind}" in version "{version}"' for version, kind in YOUNGER)
BUILD = """
set -euo pipefail
mkdir -p lists/partial
from=(-o APT::Sandbox::User=root -o Dir::Etc::sourcelist="$PWD/sources.list" -o Dir::Etc::sourceparts=/none -o Dir::State::lists="$PWD/lists")
apt-get -qq "${from[@]}" update
apt-get -qq "${from[@]}" source kubernetes >/dev/null
apt-get -qq "${from[@]}" download kubernetes-client
dpkg -x kubernetes-client_*.deb client
mkdir -p go/src/k8s.io && mv kubernetes-1.20* go/src/k8s.io/kubernetes
printf "KUBE_GIT_COMMIT=debian\\nKUBE_GIT_TREE_STATE=archive\\nKUBE_GIT_VERSION=v1.20.2\\nKUBE_GIT_MAJOR=1\\nKUBE_GIT_MINOR=20\\n" >version
export PATH="/usr/lib/go-1.19/bin:$PATH" GO111MODULE=off GOFLAGS= GOPATH="$PWD/go" GOCACHE="$PWD/cache" KUBE_GIT_VERSION_FILE="$PWD/version"
unset MAKEFLAGS MAKELEVEL
make -C go/src/k8s.io/kubernetes generated_files >generated.log 2>&1 || { tail generated.log; exit 1; }
(cd go/src/k8s.io/kubernetes && go build -o "$OLDPWD/kube-apiserver.part" ./cmd/kube-apiserver)
mv kube-apiserver.part kube-apiserver
rm -rf go cache lists
"""


class Kubectl:
    """kubectl 1.20 on the server: it knows that server's fields, and refuses others before it sends them."""

    def __init__(self, port: int) -> None:
        there = ("--server", f"https://{HOST}:{port}", "--insecure-skip-tls-verify", "--token", "verify")
        self._command = (str(HOME / "client/usr/bin/kubectl"), *there)

    def __call__(self, *words: str) -> tuple[int, str]:
        """Return the status and all that was said."""
        done = subprocess.run([*self._command, *words], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def takes(self, path: Path, *words: str) -> list[str]:
        """Apply a file; return the lines that say something else than that an object was taken."""
        _, said = self("apply", "--validate=true", "-f", str(path), *words)
        taken = (" created", " configured", " unchanged", "(server dry run)")
        return [line for line in said.splitlines() if not line.endswith(taken)]


def main() -> int:
    """Build, start, apply, break."""
    if not (HOME / "kube-apiserver").exists():
        build()
    with tempfile.TemporaryDirectory() as place, server(Path(place)) as kubectl:
        faults = [fault for look in (judged, accepted, broken) for fault in look(kubectl, Path(place))]
    print(
        "\n".join(faults)
        or "All were taken but those that are named as younger, and what was broken was refused."
    )
    return int(bool(faults))


def build() -> None:
    """Make the server and the client of Debian's packages; ten minutes on two cores."""
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    print(f"Building kube-apiserver in {HOME}", flush=True)
    for words in (("update", "-qq"), ("install", "-y", "-qq", "--no-install-recommends", *PACKAGES)):
        subprocess.run(["apt-get", *words], check=True, stdout=subprocess.DEVNULL)
    lines = [f"{kind} {mirror()} bookworm main" for kind in ("deb", "deb-src")]
    (HOME / "sources.list").write_text("\n".join([*lines, ""]))
    subprocess.run(["bash", "-c", BUILD], cwd=HOME, check=True)


@contextmanager
def server(folder: Path) -> Iterator[Kubectl]:
    """Run etcd and the API server on loopback."""
    client, peer, port = free_port(), free_port(), free_port()
    (folder / "tokens.csv").write_text('verify,verify,verify,"system:masters"\n')
    key = folder / "key.pem"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    here = f"http://{HOST}:{client}"
    etcd = [
        "etcd",
        "--data-dir",
        str(folder / "etcd"),
        "--listen-client-urls",
        here,
        "--advertise-client-urls",
        here,
    ]
    etcd += ["--listen-peer-urls", f"http://{HOST}:{peer}"]
    api = [
        str(HOME / "kube-apiserver"),
        "--etcd-servers",
        here,
        "--secure-port",
        str(port),
        "--bind-address",
        HOST,
    ]
    api += ["--cert-dir", str(folder / "certs"), "--token-auth-file", str(folder / "tokens.csv")]
    api += ["--service-account-key-file", str(key), "--service-account-signing-key-file", str(key)]
    api += ["--service-account-issuer", "https://verify", "--service-cluster-ip-range", "10.0.0.0/24"]
    api += [
        "--authorization-mode",
        "RBAC",
        "--disable-admission-plugins",
        "ServiceAccount",
    ]  # no controller makes tokens
    places = [folder / "etcd-log", folder / "api-log"]
    for place in places:
        place.mkdir()
    with running(*etcd, port=client, folder=places[0]), running(*api, port=port, folder=places[1]):
        kubectl = Kubectl(port)
        for _ in range(60):
            code, said = kubectl("get", "--raw", "/readyz?verbose")
            if code == 0:
                break
            time.sleep(1)
        assert code == 0, said
        print(kubectl("version", "--short")[1], end="", flush=True)
        yield kubectl


def judged(kubectl: Kubectl, folder: Path) -> list[str]:
    """Ask the server what it would say to every object of each overlay, and to the pods that Airflow makes."""
    faults = [line for path in ONCE for line in kubectl.takes(path)]
    for overlay in OVERLAYS:
        objects = rendered(f"overlays/{overlay}")
        every = [*objects, *map(pod, task_templates(objects))]
        refused = kubectl.takes(written(every, folder), "--dry-run=server")
        wrong = [line for line in refused if not line.endswith(TOO_YOUNG)]
        if len(refused) - len(wrong) != len(YOUNGER):
            wrong.append(f"{overlay}: expected {len(YOUNGER)} objects that are too young, got {refused}")
        print(
            f"{overlay}: {len(every)} objects, {len(refused)} refused, {len(wrong)} of them wrongly",
            flush=True,
        )
        faults += wrong
    return faults


def accepted(kubectl: Kubectl, folder: Path) -> list[str]:
    """Create the secrets and all of `local`, and find them there."""
    command = ["bash", FOLDER / "make-secrets.sh"]
    made = subprocess.run(
        command,
        env={**os.environ, "SECRETS": str(folder / "secrets")},
        capture_output=True,
        text=True,
        check=True,
    )
    (folder / "secrets.yaml").write_text(made.stdout)
    supported = [
        manifest
        for manifest in rendered("overlays/local")
        if (manifest["apiVersion"], manifest["kind"]) not in YOUNGER
    ]
    faults = []
    for path in (folder / "secrets.yaml", written(supported, folder)):
        faults += kubectl.takes(path)
        code, said = kubectl("get", "-o", "name", "-f", str(path))
        print(f"{path.name}: {len(said.splitlines())} objects are there", flush=True)
        faults += [said] if code else []
    return faults


def broken(kubectl: Kubectl, folder: Path) -> list[str]:
    """Two mistakes in a Deployment: one that the schema knows, and one that only a server sees."""
    (right,) = (
        manifest for manifest in rendered("overlays/local") if name(manifest) == "Deployment/scheduler"
    )
    right["metadata"]["name"] = "broken"
    typo, stranger = copy.deepcopy(right), copy.deepcopy(right)
    typo["spec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = "Always"
    stranger["spec"]["selector"]["matchLabels"] = {"app.kubernetes.io/name": "somebody-else"}
    faults = kubectl.takes(written([right], folder), "--dry-run=server")
    for wrong, expected in ((typo, "imagePullPolice"), (stranger, "does not match template `labels`")):
        said = " ".join(kubectl.takes(written([wrong], folder), "--dry-run=server"))
        print(f"Broken: {said[:200]}", flush=True)
        faults += [] if expected in said else [f"expected a refusal with {expected!r}, got {said or 'none'}"]
    return faults


def pod(template: Manifest) -> Manifest:
    """What Airflow makes of a template, as far as a server asks: a name and a place."""
    return {**template, "metadata": {**template["metadata"], "name": "task", "namespace": "trimtab"}}


def written(objects: Objects, folder: Path) -> Path:
    """Write objects to a file that the next ones take."""
    path = folder / "objects.yaml"
    path.write_text(yaml.safe_dump_all(objects))
    return path


if __name__ == "__main__":
    sys.exit(main())
