"""What is in `deploy/kubernetes`, rendered as kubectl renders it, and the pods in it."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.builders import ROOT

TOOLS = ROOT / ".venv" / "tools" / "bin"
FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("local", "managed", "azure")
ONCE = (FOLDER / "namespace.yaml", FOLDER / "overlays/azure/cluster.yaml")
"""Applied by the owner of the cluster, and part of no overlay."""
TEMPLATES = ("pod-template.yaml", "training-pod.yaml")
"""What Airflow makes pods of, as texts in a ConfigMap."""

Manifest = dict[str, Any]
Objects = list[Manifest]


@dataclass(frozen=True)
class Pod:
    """A pod that some object makes, or that Airflow makes of its template."""

    owner: str
    labels: dict[str, str]
    spec: Manifest
    claims: frozenset[str] = frozenset()

    @property
    def containers(self) -> Objects:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def ports(self) -> dict[str, int]:
        return {
            port["name"]: port["containerPort"]
            for container in self.spec["containers"]
            for port in container.get("ports", [])
        }


def ran(*command: str, cwd: Path = ROOT) -> tuple[int, str]:
    clean = {**os.environ, "NO_PROXY": "*", "LOG_LEVEL": "ERROR"}
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=clean, check=False)
    return done.returncode, done.stdout + done.stderr


def rendered(folder: str) -> Objects:
    """The objects of one folder below `deploy/kubernetes`."""
    done = subprocess.run(
        [TOOLS / "kubectl", "kustomize", FOLDER / folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{folder}: {done.stderr}"
    return [manifest for manifest in yaml.safe_load_all(done.stdout) if manifest]


def name(manifest: Manifest) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def of(objects: Objects, *kinds: str) -> Objects:
    return [manifest for manifest in objects if manifest["kind"] in kinds]


def task_templates(objects: Objects) -> Objects:
    """The pods that stand as a text in a ConfigMap."""
    texts = [
        text
        for manifest in of(objects, "ConfigMap")
        for key, text in manifest["data"].items()
        if key in TEMPLATES
    ]
    return [yaml.safe_load(text) for text in texts]


def pods(objects: Objects) -> Iterator[Pod]:
    """Every pod there can be."""
    for manifest in of(objects, "Deployment", "StatefulSet", "Job"):
        template = manifest["spec"]["template"]
        claims = frozenset(
            claim["metadata"]["name"] for claim in manifest["spec"].get("volumeClaimTemplates", [])
        )
        yield Pod(name(manifest), template["metadata"]["labels"], template["spec"], claims)
    for template in task_templates(objects):
        yield Pod(name(template), template["metadata"]["labels"], template["spec"])


def chosen(selector: Manifest, everyone: list[Pod]) -> list[Pod]:
    """The pods that a selector of labels matches; an empty one matches all."""
    labels = selector.get("matchLabels", {})
    sets = [
        (expression["key"], expression["operator"], expression["values"])
        for expression in selector.get("matchExpressions", [])
    ]
    assert all(operator == "In" for _, operator, _ in sets), f"only In is understood, got {sets}"
    return [
        pod
        for pod in everyone
        if labels.items() <= pod.labels.items()
        and all(pod.labels.get(key) in values for key, _, values in sets)
    ]


def required_secrets() -> dict[str, set[str]]:
    """The Secrets that are there by reference, with their keys."""
    listed = yaml.safe_load((FOLDER / "secrets.yaml").read_text())
    return {secret: set(secret_entry["keys"]) for secret, secret_entry in listed.items()}
