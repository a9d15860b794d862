"""Whether the objects of an overlay fit each other. Each check returns what it found, in words; nothing when all is well."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.deploy import rules
from tests.deploy.manifests import Manifest, Objects, Pod, chosen, name, of, pods, required_secrets


def names_are_given_once(objects: Objects) -> list[str]:
    return [
        f"{one} is there {often} times" for one, often in Counter(map(name, objects)).items() if often > 1
    ]


def all_are_in_one_namespace(objects: Objects) -> list[str]:
    return [
        f"{name(one)}: no namespace trimtab"
        for one in objects
        if one["metadata"].get("namespace") != "trimtab"
    ]


def workloads_select_their_own_pods(objects: Objects) -> list[str]:
    found = []
    for one in of(objects, "Deployment", "StatefulSet"):
        mine = [pod.owner for pod in chosen(one["spec"]["selector"], list(pods(objects)))]
        if mine != [name(one)]:
            found.append(f"{name(one)} selects {mine}")
    return found


def services_reach_a_port(objects: Objects) -> list[str]:
    found = []
    for one in of(objects, "Service"):
        behind = chosen({"matchLabels": one["spec"]["selector"]}, list(pods(objects)))
        if not behind:
            found.append(f"{name(one)} selects no pod")
        found += [
            f"{name(one)}: {pod.owner} has no port named {port['targetPort']}"
            for pod in behind
            for port in one["spec"]["ports"]
            if port["targetPort"] not in pod.ports
        ]
    return found


def stateful_sets_have_a_headless_service(objects: Objects) -> list[str]:
    headless = {
        one["metadata"]["name"] for one in of(objects, "Service") if one["spec"].get("clusterIP") == "None"
    }
    return [
        f"{name(one)}: no headless Service {one['spec']['serviceName']}"
        for one in of(objects, "StatefulSet")
        if one["spec"]["serviceName"] not in headless
    ]


def ingresses_lead_to_a_service(objects: Objects) -> list[str]:
    ports = {
        one["metadata"]["name"]: {port["name"] for port in one["spec"]["ports"]}
        for one in of(objects, "Service")
    }
    found = []
    for one in of(objects, "Ingress"):
        for path in (path for rule in one["spec"]["rules"] for path in rule["http"]["paths"]):
            backend = path["backend"]["service"]
            if backend["port"].get("name") not in ports.get(backend["name"], set()):
                found.append(f"{name(one)}: no Service {backend['name']} with the port {backend['port']}")
        for secret in (tls["secretName"] for tls in one["spec"].get("tls", [])):
            if secret not in required_secrets():
                found.append(f"{name(one)}: Secret {secret} is not in secrets.yaml")
    return found


def scaled_and_guarded_things_exist(objects: Objects) -> list[str]:
    there = {(one["apiVersion"], name(one)) for one in objects}
    found = []
    for one in of(objects, "HorizontalPodAutoscaler"):
        target = one["spec"]["scaleTargetRef"]
        if (target["apiVersion"], f"{target['kind']}/{target['name']}") not in there:
            found.append(f"{name(one)}: no {target['kind']} {target['name']}")
        found += [
            f"{name(scaled)} fixes the number of replicas that {name(one)} sets"
            for scaled in of(objects, target["kind"])
            if scaled["metadata"]["name"] == target["name"] and "replicas" in scaled["spec"]
        ]
    found += [
        f"{name(one)} selects no pod"
        for one in of(objects, "PodDisruptionBudget")
        if not chosen(one["spec"]["selector"], list(pods(objects)))
    ]
    return found


def _references(pod: Pod) -> Iterator[tuple[str, str, set[str]]]:
    """Kind, name and used keys of every ConfigMap, Secret and claim of a pod."""
    for container in pod.containers:
        for source in container.get("envFrom", []):
            yield "ConfigMap", source["configMapRef"]["name"], set()
        for value in (one["valueFrom"] for one in container.get("env", []) if "valueFrom" in one):
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
        ("Secret", one): keys for one, keys in required_secrets().items()
    }
    there |= {(one["kind"], one["metadata"]["name"]): set(one.get("data", {})) for one in objects}
    found = []
    for pod in pods(objects):
        account = ("ServiceAccount", pod.spec.get("serviceAccountName", "default"), set[str]())
        for kind, wanted, keys in (*_references(pod), account):
            if (kind, wanted) not in there:
                found.append(f"{pod.owner}: no {kind} {wanted}")
            elif missing := keys - there[kind, wanted]:
                found.append(f"{pod.owner}: {kind} {wanted} has no {', '.join(sorted(missing))}")
    return found


def no_secret_is_in_the_manifests(objects: Objects) -> list[str]:
    return [f"{name(one)} holds a secret" for one in of(objects, "Secret")]


def mounts_are_volumes(objects: Objects) -> list[str]:
    found = []
    for pod in pods(objects):
        volumes = {volume["name"] for volume in pod.spec.get("volumes", [])} | pod.claims
        mounted = {mount["name"] for one in pod.containers for mount in one.get("volumeMounts", [])}
        found += [f"{pod.owner}: no volume {one}" for one in sorted(mounted - volumes)]
        found += [f"{pod.owner}: nothing mounts {one}" for one in sorted(volumes - mounted)]
    return found


def files_in_variables_are_mounted(objects: Objects) -> list[str]:
    """A variable that names a file below /run names one that a volume brings."""
    found = []
    for pod in pods(objects):
        for container in pod.containers:
            mounts = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
            for one in container.get("env", []):
                path = one.get("value", "")
                if path.startswith("/run/") and not any(Path(path).is_relative_to(mount) for mount in mounts):
                    found.append(f"{pod.owner}: {one['name']} names {path}, where nothing is mounted")
    return found


def probes_hit_a_port(objects: Objects) -> list[str]:
    found = []
    for pod in pods(objects):
        for container in pod.spec["containers"]:
            named = {port["name"] for port in container.get("ports", [])}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                how = container.get(probe, {})
                port = (how.get("httpGet") or how.get("tcpSocket") or {}).get("port")
                if port is not None and port not in named:
                    found.append(f"{pod.owner}: {probe} asks the port {port}, which it does not have")
                if not how and not pod.owner.startswith(("Job/", "Pod/")):
                    found.append(f"{pod.owner}: no {probe}")
    return found


def policies_select_pods(objects: Objects) -> list[str]:
    everyone = list(pods(objects))
    found = []
    for one in of(objects, "NetworkPolicy"):
        own = chosen(one["spec"]["podSelector"], everyone)
        if not own:
            found.append(f"{name(one)} selects no pod")
        for rule, peers, at in _rules(one["spec"]):
            others = [chosen(peer["podSelector"], everyone) for peer in peers if "podSelector" in peer]
            found += [f"{name(one)}: a peer selects no pod" for other in others if not other]
            targets = own if at == "ingress" else [pod for other in others for pod in other]
            wanted = {port["port"] for port in rule.get("ports", []) if isinstance(port["port"], str)}
            found += [
                f"{name(one)}: {pod.owner} has no port {port}"
                for pod in targets
                for port in wanted - set(pod.ports)
            ]
    return found


def _rules(spec: Manifest) -> Iterator[tuple[Manifest, list[Any], str]]:
    for at, peers in (("ingress", "from"), ("egress", "to")):
        for rule in spec.get(at, []):
            yield rule, rule.get(peers, []), at


def all_is_denied_first(objects: Objects) -> list[str]:
    for one in of(objects, "NetworkPolicy"):
        spec = one["spec"]
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
