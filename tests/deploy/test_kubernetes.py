"""The manifests of Kubernetes: each check finds nothing in what is shipped, and finds what is wrong when something is."""

import base64
import copy
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy import checks, rules
from tests.deploy.checkers import CHECKERS, report, scanned, validated, written, younger_than_1_20
from tests.deploy.manifests import (
    FOLDER,
    ONCE,
    OVERLAYS,
    TEMPLATES,
    TOOLS,
    Manifest,
    Objects,
    name,
    of,
    rendered,
    required_secrets,
    task_templates,
)
from tests.support.builders import ROOT

FOLDERS = ("base", *(f"overlays/{overlay}" for overlay in OVERLAYS))


@pytest.fixture(scope="module")
def everything() -> dict[str, Objects]:
    """The objects of each folder."""
    return {folder: rendered(folder) for folder in FOLDERS}


@pytest.fixture
def base(everything: dict[str, Objects]) -> Objects:
    """The objects of the base, to be spoiled."""
    return copy.deepcopy(everything["base"])


@pytest.mark.parametrize("folder", FOLDERS)
def test_objects_fit_each_other(everything: dict[str, Objects], folder: str) -> None:
    assert [
        f"{check.__name__}: {fault}" for check in checks.CHECKS for fault in check(everything[folder])
    ] == []


def get(objects: Objects, full_name: str) -> Manifest:
    return next(manifest for manifest in objects if name(manifest) == full_name)


def container(objects: Objects, full_name: str) -> Manifest:
    first: Manifest = get(objects, full_name)["spec"]["template"]["spec"]["containers"][0]
    return first


def drop(objects: Objects, full_name: str) -> None:
    objects.remove(get(objects, full_name))


def selector(objects: Objects, full_name: str) -> Manifest:
    labels: Manifest = get(objects, full_name)["spec"]["selector"]
    return labels


def spoil_template(objects: Objects) -> None:
    config_map = next(
        config_map for config_map in of(objects, "ConfigMap") if "pod-template.yaml" in config_map["data"]
    )
    config_map["data"]["pod-template.yaml"] = config_map["data"]["pod-template.yaml"].replace(
        "claimName: home", "claimName: house"
    )


Spoil = Callable[[Objects], object]
WRONG: list[tuple[Callable[[Objects], list[str]], Spoil]] = [
    (checks.names_are_given_once, lambda all: all.append(all[0])),
    (checks.all_are_in_one_namespace, lambda all: all[0]["metadata"].update(namespace="other")),
    (
        checks.workloads_select_their_own_pods,
        lambda all: selector(all, "Deployment/mlflow").update(matchLabels={}),
    ),
    (checks.services_reach_a_port, lambda all: selector(all, "Service/mlflow").update(app="mlflow")),
    (
        checks.services_reach_a_port,
        lambda all: container(all, "StatefulSet/service")["ports"][0].update(name="web"),
    ),
    (checks.stateful_sets_have_a_headless_service, lambda all: drop(all, "Service/service-pods")),
    (
        checks.ingresses_lead_to_a_service,
        lambda all: get(all, "Service/api-server")["spec"]["ports"][0].update(name="x"),
    ),
    (
        checks.ingresses_lead_to_a_service,
        lambda all: get(all, "Ingress/trimtab")["spec"]["tls"][0].update(secretName="x"),
    ),
    (checks.scaled_and_guarded_things_exist, lambda all: drop(all, "StatefulSet/service")),
    (
        checks.scaled_and_guarded_things_exist,
        lambda all: get(all, "StatefulSet/service")["spec"].update(replicas=1),
    ),
    (checks.references_lead_somewhere, lambda all: drop(all, "ConfigMap/stores")),
    (checks.references_lead_somewhere, lambda all: drop(all, "PersistentVolumeClaim/home")),
    (checks.references_lead_somewhere, lambda all: drop(all, "ServiceAccount/mlflow")),
    (
        checks.references_lead_somewhere,
        lambda all: container(all, "Deployment/mlflow")["env"].append(
            {"name": "X", "valueFrom": {"secretKeyRef": {"name": "mlflow", "key": "X"}}}
        ),
    ),
    (checks.references_lead_somewhere, spoil_template),
    (
        checks.no_secret_is_in_the_manifests,
        lambda all: all.append({"kind": "Secret", "metadata": {"name": "x", "namespace": "trimtab"}}),
    ),
    (
        checks.mounts_are_volumes,
        lambda all: container(all, "Deployment/mlflow")["volumeMounts"][0].update(name="x"),
    ),
    (
        checks.files_in_variables_are_mounted,
        lambda all: container(all, "StatefulSet/mongodb")["volumeMounts"].pop(2),
    ),
    (
        checks.probes_hit_a_port,
        lambda all: container(all, "Deployment/scheduler")["ports"][0].update(name="x"),
    ),
    (checks.probes_hit_a_port, lambda all: container(all, "Deployment/triggerer").pop("livenessProbe")),
    (checks.policies_select_pods, lambda all: drop(all, "StatefulSet/mongodb")),
    (
        checks.policies_select_pods,
        lambda all: container(all, "StatefulSet/postgres")["ports"][0].update(name="x"),
    ),
    (checks.all_is_denied_first, lambda all: drop(all, "NetworkPolicy/deny")),
    (
        rules.images_are_of_the_contract,
        lambda all: container(all, "StatefulSet/mongodb").update(image="mongo:latest"),
    ),
    (
        rules.images_are_of_the_contract,
        lambda all: container(all, "Deployment/mlflow").update(
            image="docker.io/trimtab/trimtab-mlflow:latest"
        ),
    ),
    (
        rules.versions_are_the_same,
        lambda all: container(all, "Deployment/mlflow").update(image="docker.io/trimtab/trimtab-mlflow:1"),
    ),
    (
        rules.pods_are_restricted,
        lambda all: container(all, "Job/migrate")["securityContext"].update(readOnlyRootFilesystem=False),
    ),
    (
        rules.pods_are_restricted,
        lambda all: get(all, "Job/migrate")["spec"]["template"]["spec"]["securityContext"].pop(
            "seccompProfile"
        ),
    ),
    (
        rules.containers_are_limited,
        lambda all: container(all, "Job/migrate")["resources"]["limits"].pop("memory"),
    ),
    (
        rules.only_the_scheduler_has_a_token,
        lambda all: get(all, "Job/migrate")["spec"]["template"]["spec"].pop("automountServiceAccountToken"),
    ),
    (rules.bound_accounts_and_roles_exist, lambda all: drop(all, "ServiceAccount/scheduler")),
    (
        rules.bound_accounts_and_roles_exist,
        lambda all: get(all, "Role/task-pods")["rules"][0]["resources"].append("secrets"),
    ),
    (
        rules.airflow_knows_its_settings,
        lambda all: get(all, "ConfigMap/airflow")["data"].update(
            AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACES="x"
        ),
    ),
    (
        rules.our_variables_are_read,
        lambda all: get(all, "ConfigMap/stores")["data"].update(TRIMTAB_LANDINGS="x"),
    ),
    (
        rules.skips_are_justified,
        lambda all: get(all, "Job/migrate")["metadata"]["annotations"].update(
            {"checkov.io/skip1": "CKV_K8S_15=no"}
        ),
    ),
]


@pytest.mark.parametrize(("check", "spoil"), WRONG, ids=[check.__name__ for check, _ in WRONG])
def test_each_check_finds_what_is_wrong(
    base: Objects, check: Callable[[Objects], list[str]], spoil: Spoil
) -> None:
    spoil(base)
    assert check(base) != []


def test_no_check_is_without_a_wrong_example() -> None:
    assert {check.__name__ for check, _ in WRONG} == {check.__name__ for check in checks.CHECKS}


def test_every_object_has_the_form_that_kubernetes_wants(
    everything: dict[str, Objects], tmp_path: Path
) -> None:
    paths = [written(objects, tmp_path / f"{folder[-5:]}.yaml") for folder, objects in everything.items()]
    code, output = validated(*paths, *ONCE)
    assert code == 0, output
    for objects in everything.values():
        for manifest in objects:
            passed = f"passed for resource {name(manifest).lower()} against version 1.37"
            assert passed in output, name(manifest)
    assert "pod/task" in output and "storageclass/trimtab-shared" in output


def test_a_misspelt_field_is_found(base: Objects, tmp_path: Path) -> None:
    container(base, "Deployment/mlflow")["readynessProbe"] = {}
    code, output = validated(written(base, tmp_path / "objects.yaml"))
    assert code != 0 and "readynessProbe" in output


def test_the_policy_scanner_finds_nothing_but_what_is_excused(
    everything: dict[str, Objects], tmp_path: Path
) -> None:
    code, output = scanned(
        *(written(everything[overlay], tmp_path / f"{overlay[-5:]}.yaml") for overlay in FOLDERS[1:])
    )
    assert code == 0, output
    assert "Failed checks: 0" in output and "Skipped checks: 0" not in output


def test_the_policy_scanner_finds_what_is_wrong(base: Objects, tmp_path: Path) -> None:
    spoilt = get(base, "Deployment/mlflow")
    spoilt["spec"]["template"]["spec"]["hostNetwork"] = True
    spoilt["metadata"]["annotations"].pop("checkov.io/skip1")
    code, output = scanned(written([spoilt], tmp_path / "objects.yaml"))
    assert code == 1 and "CKV_K8S_19" in output and "CKV_K8S_15" in output


def secrets_made(folder: Path, **settings: str) -> dict[str, dict[str, str]]:
    """What the script prints: the values of each Secret by key."""
    path = f"{TOOLS}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", FOLDER / "make-secrets.sh"],
        env={"PATH": path, "SECRETS": str(folder), **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = {}
    for manifest in filter(None, yaml.safe_load_all(done.stdout)):
        assert manifest["metadata"]["namespace"] == "trimtab"
        made[manifest["metadata"]["name"]] = {
            key: base64.b64decode(text).decode() for key, text in manifest["data"].items()
        }
    return made


def test_the_script_makes_the_secrets_that_are_listed(tmp_path: Path) -> None:
    made = secrets_made(tmp_path)
    listed = yaml.safe_load((FOLDER / "secrets.yaml").read_text())
    assert {secret: set(keys) for secret, keys in made.items()} == {
        secret: set(listed[secret]["keys"])
        for secret in listed
        if listed[secret]["made_by"] == "make-secrets.sh"
    }
    assert secrets_made(tmp_path) == made
    assert made["postgres"]["ledger-password"] in made["stores"]["TRIMTAB_LEDGER_URL"]
    assert made["mlflow"]["MLFLOW_BACKEND_STORE_URI"].startswith("postgresql+psycopg2://mlflow:")
    values = [value for keys in made.values() for value in keys.values()]
    assert len(set(values)) == len(values)
    assert oct(next(tmp_path.rglob("TRIMTAB_LEDGER_URL")).stat().st_mode)[-3:] == "600"


def test_managed_databases_are_named_in_the_secrets(tmp_path: Path) -> None:
    made = secrets_made(tmp_path, POSTGRES_HOST="pg.example", POSTGRES_PASSWORD="a=b")
    assert not {"postgres", "mongodb"} & set(made)
    assert made["stores"]["TRIMTAB_PREDICTION_LOG_URL"] == (
        "postgresql://trimtab:a%3Db@pg.example:5432/predictions?sslmode=require"  # pragma: allowlist secret
    )
    assert made["airflow"]["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"].endswith("/airflow?ssl=require")


def test_azure_takes_what_its_vault_has() -> None:
    script, provision = (FOLDER / "make-secrets.sh").read_text(), (
        ROOT / "deploy/azure/provision.sh"
    ).read_text()
    line = next(line for line in provision.splitlines() if line.startswith("for name in postgres-password"))
    names = line.removeprefix("for name in ").partition(";")[0].split()
    assert len(names) == 6 and all(f"vault {secret}" in script for secret in names)


@pytest.mark.parametrize(
    "file, image, limits",
    [
        ("pod-template.yaml", "airflow", {"cpu": "2", "memory": "4Gi"}),
        ("training-pod.yaml", "trainer", {"cpu": "4", "memory": "8Gi"}),
    ],
)
def test_airflow_makes_a_task_of_the_template(
    tmp_path: Path, file: str, image: str, limits: dict[str, str]
) -> None:
    from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator

    template = PodGenerator.deserialize_model_file(str(FOLDER / "base" / file))
    given: dict[str, Any] = {
        "dag_id": "retrain_model",
        "task_id": "train",
        "pod_id": "retrain-train",
        "try_number": 1,
    }
    given |= {"date": None, "kube_image": None}  # what the executor gives when its settings name no image
    pod = PodGenerator.construct_pod(
        **given,
        args=["python", "-m", "airflow.sdk.execution_time.execute_workload"],
        pod_override_object=None,
        base_worker_pod=template,
        namespace="trimtab",
        scheduler_job_id="1",
        run_id="manual",
    )
    made = PodGenerator.serialize_pod(pod)
    path = tmp_path / "task.yaml"
    path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", **made}))
    assert validated(path)[0] == 0, validated(path)[1]
    (base,) = made["spec"]["containers"]
    assert base["image"] == f"docker.io/trimtab/trimtab-{image}:dev" and base["args"][0] == "python"
    assert base["resources"]["limits"] == limits and base["securityContext"]["readOnlyRootFilesystem"]
    assert (
        made["metadata"]["labels"].items() >= {"trimtab/role": "airflow", "dag_id": "retrain_model"}.items()
    )
    assert {"home", "stores"} <= {mount["name"] for mount in base["volumeMounts"]}


def test_a_training_s_pod_is_a_task_s_but_for_its_name_image_and_resources() -> None:
    task, training = (yaml.safe_load((FOLDER / "base" / name).read_text()) for name in TEMPLATES)
    for pod in (task, training):
        del (
            pod["metadata"]["name"],
            pod["spec"]["containers"][0]["image"],
            pod["spec"]["containers"][0]["resources"],
        )
    assert task == training


def test_the_scheduler_finds_the_templates_where_its_settings_say() -> None:
    (settings,) = (manifest["data"] for manifest in rendered("base") if name(manifest) == "ConfigMap/airflow")
    (files,) = (
        manifest["data"]
        for manifest in rendered("base")
        if name(manifest).startswith("ConfigMap/pod-template-")
    )
    (scheduler,) = (manifest for manifest in rendered("base") if name(manifest) == "Deployment/scheduler")
    (mount,) = (
        manifest["mountPath"]
        for manifest in scheduler["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
        if manifest["name"] == "pod-template"
    )
    said = [
        settings["AIRFLOW__KUBERNETES_EXECUTOR__POD_TEMPLATE_FILE"],
        settings["TRIMTAB_TRAINING_POD_TEMPLATE"],
    ]
    assert said == [f"{mount}/{file}" for file in TEMPLATES] and set(files) == set(TEMPLATES)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_version_is_set_everywhere_also_in_the_pod_of_a_task(overlay: str) -> None:
    done = subprocess.run(
        ["bash", "deploy/deploy.sh", overlay],
        env={
            "PATH": f"{TOOLS}:{os.environ['PATH']}",
            "DRY_RUN": "1",
            "REGISTRY": "r.example",
            "VERSION": "1.2.3",
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    objects = [item for item in yaml.safe_load_all(done.stdout) if item]
    used = {
        line.split()[-1] for line in yaml.safe_dump(objects, width=10**6).splitlines() if "image:" in line
    }
    assert "docker.io" not in done.stdout and ":dev" not in done.stdout
    assert {item for item in used if "trimtab" in item} >= {
        "r.example/trimtab-serve:1.2.3",
        "r.example/trimtab-mlflow:1.2.3",
    }
    images = [item["spec"]["containers"][0]["image"] for item in task_templates(objects)]
    assert images == ["r.example/trimtab-airflow:1.2.3", "r.example/trimtab-trainer:1.2.3"]


def test_the_docs_name_every_secret_and_what_an_old_server_refuses(everything: dict[str, Objects]) -> None:
    text = (ROOT / "docs/how-to/kubernetes.md").read_text()
    for secret, keys in required_secrets().items():
        assert f"| `{secret}` |" in text, secret
        assert [key for key in sorted(keys) if f"`{key}`" not in text] == []
    younger = younger_than_1_20(everything["base"])
    assert len(younger) == 2
    for kind, version, since in (line.split() for line in younger):
        assert f"| `{kind}` | `{version}` | {since} |" in text


def test_managed_databases_leave_none_in_the_cluster(everything: dict[str, Objects]) -> None:
    for overlay in ("overlays/managed", "overlays/azure"):
        left = {name(full_name) for full_name in everything[overlay]}
        assert not {full_name for full_name in left if "postgres" in full_name or "mongodb" in full_name}
        assert "NetworkPolicy/managed-databases" in left


def test_the_databases_are_made_as_in_compose() -> None:
    assert (FOLDER / "base/databases.sh").read_text() == (ROOT / "deploy/compose/databases.sh").read_text()


def test_azure_gives_each_account_its_identity(everything: dict[str, Objects]) -> None:
    objects = everything["overlays/azure"]
    settings = get(objects, "ConfigMap/azure")["data"]
    for account in ("airflow", "mlflow", "service"):
        annotations = get(objects, f"ServiceAccount/{account}")["metadata"]["annotations"]
        assert annotations["azure.workload.identity/client-id"] == settings[f"{account.upper()}_CLIENT_ID"]
    assert (
        get(objects, "ConfigMap/stores")["data"]["AZURE_STORAGE_ACCOUNT"] == settings["AZURE_STORAGE_ACCOUNT"]
    )
    assert get(objects, "ConfigMap/stores")["data"]["TRIMTAB_MODEL"] == "flight-delay"


def test_make_check_deploy_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = tmp_path / "kubernetes"
    shutil.copytree(FOLDER, tree, ignore=shutil.ignore_patterns("secrets"))
    settings = tree / "base/airflow.env"
    settings.write_text(settings.read_text().replace("ENABLE_HEALTH_CHECK", "ENABLE_HEALTH"))
    monkeypatch.setattr("tests.deploy.manifests.FOLDER", tree)
    only = {"objects fit each other": CHECKERS["objects fit each other"]}
    assert report(only, tmp_path) == len(OVERLAYS)
    assert (
        "azure: ConfigMap/airflow: Airflow has no AIRFLOW__SCHEDULER__ENABLE_HEALTH"
        in capsys.readouterr().out
    )


def test_every_program_of_the_delivery_is_among_the_checkers() -> None:
    assert {"Dockerfile", "scripts", "schema of what is applied once", "policies of checkov"} <= set(CHECKERS)
