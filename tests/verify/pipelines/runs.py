"""Workflows really run by act: each `run:` step as it stands, the actions by stand-ins."""

import os
from pathlib import Path

import pytest

from tests.integration.review import project
from tests.integration.review.forge import REPOSITORY, SECRETS, Forge, running
from tests.support.builders import ROOT
from tests.support.moments import Site
from tests.verify.pipelines.runner import act, with_environment


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("loops"))


def test_the_lint_job_of_ci_runs(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    project.run("git", "clone", "-q", str(ROOT), str(checkout))
    code, said = act(with_environment(checkout), tmp_path / "work", "ci.yml", "push", "--job", "lint")
    assert code == 0, said
    assert "Success - Main Lint" in said and "Success - Main Types" in said
    (checkout / "src/trimtab/clock.py").write_text("import os\n")
    code, said = act(checkout, tmp_path / "work", "ci.yml", "push", "--job", "lint")
    assert code != 0 and "F401" in said


def test_a_pull_request_is_trained_judged_and_commented(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = project.live(site, monkeypatch)
    handover, programs = tmp_path / "handover", tmp_path / "programs"
    project.material(loop, handover / "collected", trusted := tmp_path / "trusted")
    checkout = with_environment(project.clone(loop, tmp_path / "pull", project.PULLS["better"]))
    sha = project.run("git", "rev-parse", "HEAD", cwd=checkout).strip()
    programs.mkdir()
    (programs / "gh").write_text(
        '#!/bin/sh\nif [ "$2" = list ]; then echo 41; else mkdir -p production && cp -r "$HANDOVER/collected/." production; fi\n'
    )
    (programs / "gh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    for name in ("TRIMTAB_HOME", "MLFLOW_TRACKING_URI"):  # what knows the stores is no part of this job
        monkeypatch.delenv(name)
    event = project.event(tmp_path / "pull_request.json", "pull_request", sha)
    code, said = act(
        checkout,
        tmp_path / "work",
        "train-on-pr.yml",
        "pull_request",
        "--eventpath",
        str(event),
        HANDOVER=str(handover),
    )
    assert code == 0, said[-6000:]
    assert len((handover / "review/losses.csv").read_text().splitlines()) == 4
    assert (handover / "review/plots/index.html").is_file()

    head = {"label": "stranger:faster", "sha": sha}
    event = project.event(tmp_path / "workflow_run.json", "workflow_run", sha)
    with running(Forge(pulls=[{"number": 7, "head": head}], files=[{"filename": "params.yaml"}])) as forge:
        code, said = act(
            with_environment(trusted),
            tmp_path / "work",
            "comment-on-pr.yml",
            "workflow_run",
            "--eventpath",
            str(event),
            "--secret",
            f"GITHUB_TOKEN={SECRETS['GITHUB_TOKEN']}",
            HANDOVER=str(handover),
            GITHUB_API_URL=forge.url,
            GITHUB_REPOSITORY=REPOSITORY,
        )
    assert code == 0, said[-6000:]
    text = (ROOT / "tests/integration/review/expected/better.md").read_text()
    assert forge.comments[0]["body"].splitlines()[2:5] == text.splitlines()[2:5]
