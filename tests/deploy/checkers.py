"""The programs of others that judge what is delivered: no network, no cluster."""

from collections.abc import Callable
from pathlib import Path

import yaml

from tests.deploy.manifests import ONCE, OVERLAYS, TOOLS, Objects, name, ran, rendered, task_templates
from tests.support.builders import ROOT

KUBERNETES = "1.37.0"
YOUNGER: dict[tuple[str, str], str] = {
    ("autoscaling/v2", "HorizontalPodAutoscaler"): "1.23",
    ("policy/v1", "PodDisruptionBudget"): "1.21",
}
"""What an API server 1.20 does not know, and the first version that does."""


def written(objects: Objects, path: Path) -> Path:
    """All objects as one file, the pods of tasks among them."""
    path.write_text(yaml.safe_dump_all([*objects, *task_templates(objects)]))
    return path


def validated(*paths: Path) -> tuple[int, str]:
    """Each object of some files against the schema of Kubernetes, unknown fields refused."""
    return ran(
        str(TOOLS / "kubernetes-validate"), "--strict", "--no-warn", "-k", KUBERNETES, *map(str, paths)
    )


def scanned(*paths: Path) -> tuple[int, str]:
    """Each object of some files against checkov's policies."""
    words = ("--skip-download", "--framework", "kubernetes", "--compact", "--quiet", "--file")
    return ran(str(TOOLS / "checkov"), *words, *map(str, paths))


def younger_than_1_20(objects: Objects) -> list[str]:
    """The objects that a server 1.20 refuses."""
    return [
        f"{name(manifest)} {manifest['apiVersion']} {YOUNGER[manifest['apiVersion'], manifest['kind']]}"
        for manifest in objects
        if (manifest["apiVersion"], manifest["kind"]) in YOUNGER
    ]


def _every_overlay(judge: Callable[..., tuple[int, str]]) -> Callable[[Path], list[str]]:
    def check(folder: Path) -> list[str]:
        paths = [written(rendered(f"overlays/{overlay}"), folder / f"{overlay}.yaml") for overlay in OVERLAYS]
        code, output = judge(*paths)
        return [output] * (code != 0)

    return check


def _once(_: Path) -> list[str]:
    code, output = validated(*ONCE)
    return [output] * (code != 0)


def _own_checks(_: Path) -> list[str]:
    from tests.deploy.checks import CHECKS

    objects = {overlay: rendered(f"overlays/{overlay}") for overlay in OVERLAYS}
    return [
        f"{overlay}: {fault}" for overlay in OVERLAYS for check in CHECKS for fault in check(objects[overlay])
    ]


def _program(*command: str) -> Callable[[Path], list[str]]:
    def check(_: Path) -> list[str]:
        code, output = ran(str(TOOLS / command[0]), *command[1:])
        return [output] * (code != 0)

    return check


CHECKERS: dict[str, Callable[[Path], list[str]]] = {
    "objects fit each other": _own_checks,
    f"schema of Kubernetes {KUBERNETES}, strict": _every_overlay(validated),
    "schema of what is applied once": _once,
    "policies of checkov": _every_overlay(scanned),
    "Dockerfile": _program("hadolint", "deploy/docker/Dockerfile"),
    "scripts": _program("shellcheck", *map(str, sorted((ROOT / "deploy").rglob("*.sh")))),
}
"""What `make check-deploy` runs; each says what it found."""


def report(checkers: dict[str, Callable[[Path], list[str]]], folder: Path) -> int:
    """Run all, say what each found, and return how much that is."""
    total = 0
    for title, check in checkers.items():
        faults = check(folder)
        print(f"{title}: {f'{len(faults)} findings' if faults else 'ok'}", *faults, sep="\n  ", flush=True)
        total += len(faults)
    return total
