"""Whether the objects of an overlay fit each other. Each check returns what it found, in words; nothing when all is well."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.deploy import rules
from tests.deploy.manifests import Manifest, Objects, Pod, chosen, name, of, pods, required_secrets


def names_are_given_once(objects: Objects) -> list[str]:
    return [
        f"{name_} is there {often} times" for name_, often in Counter(map(name, objects)).items() if often > 1
    ]


def all_are_in_one_namespace(objects: Objects) -> list[str]:
    return [
        f"{name(manifest)}: no namespace trimtab"
        for manifest in objects
        if manifest["metadata"].get("namespace") != "trimtab"
    ]


def workloads_select_their_own_pods(objects: Objects) -> list[str]:
    faults = []
    for manifest in of(objects, "Deployment", "StatefulSet"):
        mine = [pod.owner for pod in chosen(manifest["spec"]["selector"], list(pods(objects)))]
        if mine != [name(manifest)]:
            faults.append(f"{name(manifest)} selects {mine}")
    return faults


def services_reach_a_port(objects: Objects) -> list[str]:
    faults = []
    for manifest in of(objects, "Service"):
        behind = chosen({"matchLabels": manifest["spec"]["selector"]}, list(pods(objects)))
        if not behind:
            faults.append(f"{name(manifest)} selects no pod")
        faults += [
            f"{name(manifest)}: {pod.owner} has no port named {port['targetPort']}"
            for pod in behind
            for port in manifest["spec"]["ports"]
            if port["targetPort"] not in pod.ports
        ]
    return faults


def stateful_sets_have_a_headless_service(objects: Objects) -> list[str]:
    headless = {
        manifest["metadata"]["name"]
        for manifest in of(objects, "Service")
        if manifest["spec"].get("clusterIP") == "None"
    }
    return [
        f"{name(manifest)}: no headless Service {manifest['spec']['serviceName']}"
        for manifest in of(objects, "StatefulSet")
        if manifest["spec"]["serviceName"] not in headless
    ]


def ingresses_lead_to_a_service(objects: Objects) -> list[str]:
    ports = {
        manifest["metadata"]["name"]: {port["name"] for port in manifest["spec"]["ports"]}
        for manifest in of(objects, "Service")
    }
    faults = []
    for manifest in of(objects, "Ingress"):
        for path in (path for rule in manifest["spec"]["rules"] for path in rule["http"]["paths"]):
            backend = path["backend"]["service"]
            if backend["port"].get("name") not in ports.get(backend["name"], set()):
                faults.append(
                    f"{name(manifest)}: no Service {backend['name']} with the port {backend['port']}"
                )
        for secret in (tls["secretName"] for tls in manifest["spec"].get("tls", [])):
            if secret not in required_secrets():
                faults.append(f"{name(manifest)}: Secret {secret} is not in secrets.yaml")
    return faults


def scaled_and_guarded_things_exist(objects: Objects) -> list[str]:
    there = {(manifest["apiVersion"], name(manifest)) for manifest in objects}
    faults = []
    for manifest in of(objects, "HorizontalPodAutoscaler"):
        target = manifest["spec"]["scaleTargetRef"]
        if (target["apiVersion"], f"{target['kind']}/{target['name']}") not in there:
            faults.append(f"{name(manifest)}: no {target['kind']} {target['name']}")
        faults += [
            f"{name(scaled)} fixes the number of replicas that {name(manifest)} sets"
            for scaled in of(objects, target["kind"])
            if scaled["metadata"]["name"] == target["name"] and "replicas" in scaled["spec"]
        ]
    faults += [
        f"{name(manifest)} selects no pod"
        for manifest in of(objects, "PodDisruptionBudget")
        if not chosen(manifest["spec"]["selector"], list(pods(objects)))
    ]
    return faults


def _references(pod: Pod) -> Iterator[tuple[str, str, set[str]]]:
    """Kind, name and used keys of every ConfigMap, Secret and claim of a pod."""
    for container in pod.containers:
        for source in container.get("envFrom", []):
            yield "ConfigMap", source["configMapRef"]["name"], set()
        for value in (
            variable["valueFrom"] for variable in container.get("env", []) if "valueFrom" in variable
        ):
            for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
                if field in value:
                    yield kind, value[field]["name"], {value[field]["key"]}
    for volume in pod.spec.get("volumes", []):
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"], _items(volume["secret"])
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"], _items(volume["configMap"])
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"], set()


def _items(source: Manifest) -> set[str]:
    return {item["key"] for item in source.get("items", [])}


def references_lead_somewhere(objects: Objects) -> list[str]:
    there: dict[tuple[str, str], set[str]] = {
        ("Secret", manifest): keys for manifest, keys in required_secrets().items()
    }
    there |= {
        (manifest["kind"], manifest["metadata"]["name"]): set(manifest.get("data", {}))
        for manifest in objects
    }
    faults = []
    for pod in pods(objects):
        account = ("ServiceAccount", pod.spec.get("serviceAccountName", "default"), set[str]())
        for kind, target, keys in (*_references(pod), account):
            if (kind, target) not in there:
                faults.append(f"{pod.owner}: no {kind} {target}")
            elif missing := keys - there[kind, target]:
                faults.append(f"{pod.owner}: {kind} {target} has no {', '.join(sorted(missing))}")
    return faults


def no_secret_is_in_the_manifests(objects: Objects) -> list[str]:
    return [f"{name(manifest)} holds a secret" for manifest in of(objects, "Secret")]


def mounts_are_volumes(objects: Objects) -> list[str]:
    faults = []
    for pod in pods(objects):
        volumes = {volume["name"] for volume in pod.spec.get("volumes", [])} | pod.claims
        mounted = {mount["name"] for volume in pod.containers for mount in volume.get("volumeMounts", [])}
        faults += [f"{pod.owner}: no volume {volume}" for volume in sorted(mounted - volumes)]
        faults += [f"{pod.owner}: nothing mounts {volume}" for volume in sorted(volumes - mounted)]
    return faults


def files_in_variables_are_mounted(objects: Objects) -> list[str]:
    """A variable that names a file below /run names one that a volume brings."""
    faults = []
    for pod in pods(objects):
        for container in pod.containers:
            mounts = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
            for variable in container.get("env", []):
                path = variable.get("value", "")
                if path.startswith("/run/") and not any(Path(path).is_relative_to(mount) for mount in mounts):
                    faults.append(f"{pod.owner}: {variable['name']} names {path}, where nothing is mounted")
    return faults


def probes_hit_a_port(objects: Objects) -> list[str]:
    faults = []
    for pod in pods(objects):
        for container in pod.spec["containers"]:
            named = {port["name"] for port in container.get("ports", [])}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                how = container.get(probe, {})
                port = (how.get("httpGet") or how.get("tcpSocket") or {}).get("port")
                if port is not None and port not in named:
                    faults.append(f"{pod.owner}: {probe} asks the port {port}, which it does not have")
                if not how and not pod.owner.startswith(("Job/", "Pod/")):
                    faults.append(f"{pod.owner}: no {probe}")
    return faults


def policies_select_pods(objects: Objects) -> list[str]:
    everyone = list(pods(objects))
    faults = []
    for manifest in of(objects, "NetworkPolicy"):
        own = chosen(manifest["spec"]["podSelector"], everyone)
        if not own:
            faults.append(f"{name(manifest)} selects no pod")
        for rule, peers, at in _rules(manifest["spec"]):
            others = [chosen(peer["podSelector"], everyone) for peer in peers if "podSelector" in peer]
            faults += [f"{name(manifest)}: a peer selects no pod" for other in others if not other]
            targets = own if at == "ingress" else [pod for other in others for pod in other]
            port_names = {port["port"] for port in rule.get("ports", []) if isinstance(port["port"], str)}
            faults += [
                f"{name(manifest)}: {pod.owner} has no port {port}"
                for pod in targets
                for port in port_names - set(pod.ports)
            ]
    return faults


def _rules(spec: Manifest) -> Iterator[tuple[Manifest, list[Any], str]]:
    for at, peers in (("ingress", "from"), ("egress", "to")):
        for rule in spec.get(at, []):
            yield rule, rule.get(peers, []), at


def all_is_denied_first(objects: Objects) -> list[str]:
    for manifest in of(objects, "NetworkPolicy"):
        spec = manifest["spec"]
        if spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}:
            return []
    return ["no NetworkPolicy denies what is not allowed"]


CHECKS: tuple[Callable[[Objects], list[str]], ...] = (
    names_are_given_once,
    all_are_in_one_namespace,
    workloads_select_their_own_pods,
    services_reach_a_port,
    stateful_sets_have_a_headless_service,
    ingresses_lead_to_a_service,
    scaled_and_guarded_things_exist,
    references_lead_somewhere,
    no_secret_is_in_the_manifests,
    mounts_are_volumes,
    files_in_variables_are_mounted,
    probes_hit_a_port,
    policies_select_pods,
    all_is_denied_first,
    rules.images_are_of_the_contract,
    rules.versions_are_the_same,
    rules.pods_are_restricted,
    rules.containers_are_limited,
    rules.only_the_scheduler_has_a_token,
    rules.bound_accounts_and_roles_exist,
    rules.airflow_knows_its_settings,
    rules.our_variables_are_read,
    rules.skips_are_justified,
)
