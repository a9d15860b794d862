"""The workflows and the Jenkinsfile: what checks them from outside, and what only we know of them."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.builders import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
TOOLS = ROOT / ".venv/tools/bin"
LATER: set[str] = set()
"""Targets that other parts of the delivery bring; a target that is there is taken off this list."""


def tool(name: str, *words: str) -> tuple[int, str]:
    done = subprocess.run([str(TOOLS / name), *words], capture_output=True, text=True, cwd=ROOT, check=False)
    return done.returncode, done.stdout + done.stderr


def parsed(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text())
    return {"on" if key is True else key: value for key, value in content.items()}


def jobs() -> list[tuple[str, str, dict[str, Any]]]:
    return [(path.name, name, job) for path in WORKFLOWS for name, job in parsed(path)["jobs"].items()]


CHECKERS = {
    "actionlint": ("actionlint", "-shellcheck", str(TOOLS / "shellcheck")),
    "schema": ("check-jsonschema", "--builtin-schema", "vendor.github-workflows"),
    "zizmor": ("zizmor", "--offline", "--no-progress"),
}
BROKEN = {
    "actionlint": ("run: make lint", "run: echo ${{ github.nothing }} $UNQUOTED"),
    "schema": ("runs-on: ubuntu-latest", "run-on: ubuntu-latest"),
    "zizmor": ("run: make lint", "run: echo ${{ github.head_ref }}"),
}


@pytest.mark.parametrize("checker", CHECKERS)
def test_each_checker_finds_nothing(checker: str) -> None:
    code, said = tool(*CHECKERS[checker], *map(str, WORKFLOWS))
    assert code == 0, said


@pytest.mark.parametrize("checker", CHECKERS)
def test_each_checker_finds_what_is_wrong(checker: str, tmp_path: Path) -> None:
    text, (old, new) = (ROOT / ".github/workflows/ci.yml").read_text(), BROKEN[checker]
    assert old in text
    copy = tmp_path / ".github/workflows/ci.yml"
    copy.parent.mkdir(parents=True)
    copy.write_text(text.replace(old, new, 1))
    assert tool(*CHECKERS[checker], str(copy))[0] != 0


def test_every_exception_has_its_reason() -> None:
    for path in WORKFLOWS:
        for reason in re.findall(r"zizmor: ignore\[[a-z-]+\](.*)", path.read_text()):
            assert len(reason.split()) > 3, path.name


def test_every_action_is_pinned_by_digest() -> None:
    for path in WORKFLOWS:
        for line in re.findall(r"uses: (.*)", path.read_text()):
            if not line.startswith("./.github/"):
                assert re.fullmatch(
                    r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line
                ), f"{path.name}: {line}"


def test_nothing_is_allowed_but_by_the_job_that_needs_it() -> None:
    for path in WORKFLOWS:
        assert parsed(path)["permissions"] == {}, path.name
    writing = {
        (path, name, what)
        for path, name, job in jobs()
        for what, how in job["permissions"].items()
        if how == "write"
    }
    assert writing == {
        ("comment-on-pr.yml", "comment", "pull-requests"),
        ("release.yml", "provenance", "id-token"),
        ("release.yml", "provenance", "attestations"),
        ("release.yml", "notes", "contents"),
    }


def test_no_secret_reaches_a_job_that_runs_a_pull_requests_code() -> None:
    for path in WORKFLOWS:
        assert "pull_request_target" not in parsed(path)["on"]
    foreign = [path for path in WORKFLOWS if "pull_request" in parsed(path)["on"]]
    assert [path.name for path in foreign] == ["ci.yml", "train-on-pr.yml"]
    for path in foreign:
        for name, job in parsed(path)["jobs"].items():
            text = json.dumps(job)
            assert "secrets." not in text and "secrets:" not in text and "environment" not in job, name
            if "actions/checkout" in text:
                assert job["permissions"] == {"contents": "read"}
                assert "github.token" not in text and '"persist-credentials": false' in text, name


def test_the_job_that_may_write_runs_the_default_branch_only() -> None:
    (steps,) = [job["steps"] for _, name, job in jobs() if name == "comment"]
    refs = [step["with"]["ref"] for step in steps if step.get("uses", "").startswith("actions/checkout")]
    assert refs == ["${{ github.event.repository.default_branch }}"]


def called() -> set[str]:
    texts = [path.read_text() for path in (*WORKFLOWS, ROOT / "Jenkinsfile")]
    lines = [
        line.split("#")[0] for text in texts for line in text.splitlines() if "//" not in line.strip()[:2]
    ]
    return {
        word
        for line in lines
        for words in re.findall(r"\bmake ((?:[a-z][a-z-]*(?: |$|'|\"))+)", line)
        for word in re.findall(r"[a-z-]+", words)
    }


def test_every_target_that_a_pipeline_calls_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {
        "lint",
        "type",
        "test",
        "review",
        "comment",
        "production",
        "smoke",
        "load",
        "deploy",
        "images",
        "push",
    } <= called()
    assert called() - LATER <= targets
    assert not LATER & targets, "take what exists off LATER"


def test_jenkins_and_github_call_the_same_targets() -> None:
    jenkins = set(re.findall(r"make ([a-z-]+)", (ROOT / "Jenkinsfile").read_text()))
    assert {"lint", "type", "images", "scan", "push", "deploy", "smoke", "load", "check-deploy"} <= jenkins
    stages = re.findall(r"^    stage\('(.*)'\)", (ROOT / "Jenkinsfile").read_text(), re.MULTILINE)
    assert stages == ["Checkout", "Lint & Test", "Build", "Push", "Deploy"]


def test_the_jenkinsfile_parses_and_a_broken_one_does_not(tmp_path: Path) -> None:
    text = (ROOT / "Jenkinsfile").read_text()
    for name, content in {"good": text, "broken": text.replace("stages {", "stages {{{", 1)}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "Jenkinsfile").write_text(content)
    lint = ROOT / ".venv/node/node_modules/.bin/npm-groovy-lint"
    words = [
        "--no-insight",
        "--noserver",
        "--output",
        "json",
        "--config",
        str(ROOT / ".groovylintrc.json"),
        "--path",
        str(tmp_path),
    ]
    done = subprocess.run([str(lint), *words], capture_output=True, text=True, cwd=tmp_path, check=False)
    report = json.loads(done.stdout[done.stdout.index("{") :])
    errors = {Path(path).parent.name: error["errors"] for path, error in report["files"].items()}
    assert [error for error in errors.get("good", []) if error["severity"] == "error"] == []
    assert any("NglParseError" in error["rule"] for error in errors["broken"]), errors["broken"]
