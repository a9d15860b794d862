"""Whether each object keeps to the rules: images, restrictions, rights, settings. Each check returns what it found, in words."""

import re

from tests.deploy.manifests import Objects, name, of, pods
from trimtab.settings import Ports, Settings

IMAGES = re.compile(
    r"docker\.io/trimtab/trimtab-(airflow|trainer|serve|mlflow):[\w.-]+|postgres:16-bookworm|mongo:7"
)


def images_are_of_the_contract(objects: Objects) -> list[str]:
    used = {(pod.owner, container["image"]) for pod in pods(objects) for container in pod.containers}
    return [
        f"{owner}: image {image}"
        for owner, image in sorted(used)
        if not IMAGES.fullmatch(image) or "latest" in image
    ]


def versions_are_the_same(objects: Objects) -> list[str]:
    ours = {
        container["image"]
        for pod in pods(objects)
        for container in pod.containers
        if "trimtab/" in container["image"]
    }
    versions = {image.rpartition(":")[2] for image in ours}
    return [] if len(versions) == 1 else [f"our images have the versions {sorted(versions)}"]


def pods_are_restricted(objects: Objects) -> list[str]:
    """The profile `restricted` of the pod security standards, and a read-only root file system."""
    faults = []
    for pod in pods(objects):
        security = pod.spec.get("securityContext", {})
        if not security.get("runAsNonRoot") or security.get("seccompProfile") != {"type": "RuntimeDefault"}:
            faults.append(f"{pod.owner}: may be root, or has no seccomp profile")
        required = {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        faults += [
            f"{pod.owner}: {part['name']} is not restricted"
            for part in pod.containers
            if part.get("securityContext") != required
        ]
        allowed = {"configMap", "emptyDir", "persistentVolumeClaim", "secret", "name"}
        faults += [
            f"{pod.owner}: volume {part}" for part in pod.spec.get("volumes", []) if not set(part) <= allowed
        ]
    return faults


def containers_are_limited(objects: Objects) -> list[str]:
    return [
        f"{pod.owner}: {container['name']} has no request or limit of cpu and memory"
        for pod in pods(objects)
        for container in pod.containers
        if any(
            set(container.get("resources", {}).get(part, {})) != {"cpu", "memory"}
            for part in ("requests", "limits")
        )
    ]


def only_the_scheduler_has_a_token(objects: Objects) -> list[str]:
    with_token = [pod.owner for pod in pods(objects) if pod.spec.get("automountServiceAccountToken", True)]
    return (
        [] if with_token == ["Deployment/scheduler"] else [f"a token of the cluster is given to {with_token}"]
    )


def bound_accounts_and_roles_exist(objects: Objects) -> list[str]:
    there = set(map(name, objects))
    faults = []
    for manifest in of(objects, "RoleBinding"):
        for other in (manifest["roleRef"], *manifest["subjects"]):
            if f"{other['kind']}/{other['name']}" not in there:
                faults.append(f"{name(manifest)}: no {other['kind']} {other['name']}")
    rights = {
        (group, what)
        for manifest in of(objects, "Role")
        for rule in manifest["rules"]
        for group in rule["apiGroups"]
        for what in rule["resources"]
    }
    return faults + [f"a Role gives rights on {what}" for what in sorted(rights - {("", "pods")})]


def _variables(objects: Objects) -> dict[str, str]:
    """Every variable, and where it was met."""
    variables = {
        key: name(entry) for entry in of(objects, "ConfigMap") for key in entry["data"] if key.isupper()
    }
    for pod in pods(objects):
        variables |= {
            entry["name"]: pod.owner for container in pod.containers for entry in container.get("env", [])
        }
    return variables


def airflow_knows_its_settings(objects: Objects) -> list[str]:
    from airflow.configuration import conf

    faults = []
    for variable, where in _variables(objects).items():
        if variable.startswith("AIRFLOW__"):
            _, section, option = variable.lower().split("__")
            if option not in conf.configuration_description.get(section, {}).get("options", {}):
                faults.append(f"{where}: Airflow has no {variable}")
    return faults


def variables_read() -> set[str]:
    """Every environment variable that trimtab reads."""
    return {source.variable(field) for source in (Settings, Ports) for field in source.model_fields}


def our_variables_are_read(objects: Objects) -> list[str]:
    read = variables_read()
    return [
        f"{where}: nothing reads {variable}"
        for variable, where in _variables(objects).items()
        if variable.startswith("TRIMTAB_") and variable not in read
    ]


def skips_are_justified(objects: Objects) -> list[str]:
    """Each exception of the policy scanner names one check, and a reason of at least five words."""
    faults = []
    for manifest in objects:
        for key, text in (manifest["metadata"].get("annotations") or {}).items():
            if key.startswith("checkov.io/skip") and not re.fullmatch(r"CKV\w+=(\S+ ){4,}\S+", text):
                faults.append(f"{name(manifest)}: {key} gives no reason: {text}")
    return faults
