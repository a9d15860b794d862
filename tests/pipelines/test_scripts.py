"""What the pipelines' make targets do, run by make."""

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.integration.service.served import running
from tests.support.builders import ROOT


def make(*words: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        ["make", "--no-print-directory", *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("service")) as (host, port):
        yield f"http://{host}:{port}"


def test_smoke_asks_a_real_service(url: str) -> None:
    code, said = make("smoke", f"URL={url}")
    assert code == 0, said
    assert f"OK {url}: version 1 lives, is ready and answers" in said


def test_smoke_says_what_did_not_answer() -> None:
    code, said = make("smoke", "URL=http://127.0.0.1:9")
    assert code != 0
    assert "FAILED http://127.0.0.1:9/healthz: expected an answer, got ConnectionError" in said


def test_load_holds_a_service_to_its_limits(url: str) -> None:
    settings = ("SECONDS_OF_LOAD=2", "CLIENTS=2")
    code, said = make("load", f"URL={url}", *settings, "P99_MS=10000")
    assert code == 0, said
    assert "failures 0.00%" in said
    code, said = make("load", f"URL={url}", *settings, "P99_MS=0.001")
    assert code != 0 and "expected a 99th percentile of at most 0.001 ms" in said


def test_deploy_puts_version_and_registry_into_every_image(tmp_path: Path) -> None:
    overlay = tmp_path / "here"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text("resources: [pod.yaml]\n")
    (overlay / "pod.yaml").write_text(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: one}\nspec:\n  containers:\n"
        "    - {name: a, image: 'docker.io/trimtab/trimtab-serve:dev'}\n    - {name: b, image: 'redis:7'}\n"
    )
    settings = {
        "OVERLAYS": str(tmp_path),
        "DRY_RUN": "1",
        "PATH": f"{ROOT / '.venv/tools/bin'}:{os.environ['PATH']}",
    }
    code, said = make("deploy", "ENV=here", "VERSION=1.2.3", "REGISTRY=hub.example/team", **settings)
    assert code == 0, said
    assert "image: hub.example/team/trimtab-serve:1.2.3" in said and "image: redis:7" in said
    code, said = make("deploy", "ENV=there", **settings)
    assert code != 0 and "there/kustomization.yaml was not found. There are: here" in said


KUBECTL = """#!/usr/bin/env bash
# In place of a cluster: says what it was asked, and answers as $ANSWERS and $BROKEN want it.
echo "kubectl $*" >>"$CALLS"
case "$*" in
  kustomize*) exec "$REAL" "$@" ;;
  "get statefulset service"*) printf %s "$ANSWERS" ;;
  get*) printf '%s\\n' configmap/stores deployment.apps/scheduler statefulset.apps/service ;;
  "rollout status $BROKEN"*) exit 1 ;;
esac
"""


@pytest.mark.parametrize("answers, broken", [("", "none"), ("2", "none"), ("2", "deployment.apps/scheduler")])
def test_deploy_waits_for_what_it_applied_and_goes_back(tmp_path: Path, answers: str, broken: str) -> None:
    (tmp_path / "kubectl").write_text(KUBECTL)
    (tmp_path / "kubectl").chmod(0o755)
    settings = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "CALLS": str(tmp_path / "calls"),
        "REAL": str(ROOT / ".venv/tools/bin/kubectl"),
        "ANSWERS": answers,
        "BROKEN": broken,
    }
    code, said = make("deploy", "ENV=local", "VERSION=1.2.3", **settings)
    calls = (tmp_path / "calls").read_text().splitlines()
    verbs = [" ".join(call.split()[1:4]) for call in calls]
    applied = next(place for place, verb in enumerate(verbs) if verb.startswith("apply --filename"))
    assert verbs.index("delete jobs --selector") < applied
    assert all("--namespace trimtab" in call for call in calls if "rollout" in call or "delete" in call)
    waited = [verb for verb in verbs if verb.startswith("rollout status")]
    undone = [verb for verb in verbs if verb.startswith("rollout undo")]
    scheduler, service = "deployment.apps/scheduler", "statefulset.apps/service"
    if broken == "none":
        assert code == 0, said
        assert waited == [
            f"rollout status {deployment}" for deployment in (scheduler, *([service] if answers else []))
        ]
        assert ("is not waited for" in said) == (not answers) and undone == []
    else:
        assert code != 0 and "scheduler did not come up" in said
        assert undone == [f"rollout undo {scheduler}", f"rollout undo {service}"]


def test_release_notes_are_the_changelogs_head(tmp_path: Path) -> None:
    code, said = make("release-notes", "VERSION=0.1.0")
    assert code == 0 and said.startswith("The first version")
    code, said = make("release-notes", "VERSION=9.9.9")
    assert code != 0 and "CHANGELOG.md begins with 0.1.0, the tag says 9.9.9" in said


class Advisories(BaseHTTPRequestHandler):
    """A service that speaks OSV's API, and knows of one vulnerability."""

    vulnerable = ""
    asked: set[str] = set()

    def do_POST(self) -> None:
        name = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]["name"]
        self.asked.add(name)
        ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]
        affected = [{"package": {"name": name, "ecosystem": "PyPI"}, "ranges": ranges}]
        answer = {"vulns": [{"id": "PYSEC-0000-1", "summary": "A hole.", "affected": affected}]}
        content = json.dumps(answer if name == self.vulnerable else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def test_a_vulnerable_package_of_an_image_fails_the_audit() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Advisories)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    words = ("audit", "IMAGES=serve", f"ADVISORIES=http://127.0.0.1:{server.server_port}/v1/query")
    try:
        code, said = make(*words)
        assert code == 0 and "No known vulnerabilities found" in said, said
        pinned = re.findall(r"^([a-z0-9-]+)==", (ROOT / "deploy/docker/serve.txt").read_text(), re.MULTILINE)
        assert len(Advisories.asked) > 90 and Advisories.asked <= set(pinned)
        Advisories.vulnerable = "flask"
        code, said = make(*words)
        assert code != 0 and "PYSEC-0000-1" in said and "flask" in said, said
    finally:
        server.shutdown()
        server.server_close()


def test_reports_are_written_where_a_pipeline_looks_for_them(tmp_path: Path) -> None:
    own = {"COVERAGE_FILE": str(tmp_path / ".coverage"), "PYTEST_ADDOPTS": "-p no:cacheprovider"}
    code, said = make("test-reports", "ONLY=tests/unit/trigger/test_arbiter.py", f"REPORTS={tmp_path}", **own)
    assert code == 0, said
    (suite,) = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert int(suite.attrib["tests"]) > 10 and suite.attrib["failures"] == "0"
    files = {
        element.attrib["filename"] for element in ElementTree.parse(tmp_path / "coverage.xml").iter("class")
    }
    assert "params.py" in files or "src/trimtab/params.py" in files


def test_every_script_passes_shellcheck() -> None:
    scripts = [str(path) for path in (*ROOT.glob("deploy/*.sh"), *ROOT.glob("deploy/review/*.sh"))]
    assert len(scripts) == 4
    done = subprocess.run(
        [str(ROOT / ".venv/tools/bin/shellcheck"), *scripts], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
