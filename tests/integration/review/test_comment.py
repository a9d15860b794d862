"""The comment on a pull request, from real models of real flights, against a stand-in of GitHub's API."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.review import project
from tests.integration.review.forge import SECRETS, Forge, running
from tests.support import playground
from tests.support.moments import Site
from trimtab.errors import GitHubRefused, ReviewRefused
from trimtab.review.comment import comment
from trimtab.trigger.planning import read_champion

SHA = "0123456789abcdef0123456789abcdef01234567"  # pragma: allowlist secret
EXPECTED = Path(__file__).parent / "expected"


@pytest.fixture
def forge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Forge]:
    """One repository with one pull request from a fork, and the environment of the job that comments."""
    head = {"label": "stranger:faster", "sha": SHA}
    path = project.event(tmp_path / "event.json", "workflow_run", SHA)
    with running(Forge(pulls=[{"number": 7, "head": head}], files=[{"filename": "params.yaml"}])) as forge:
        for name, value in {**SECRETS, "GITHUB_API_URL": forge.url, "GITHUB_EVENT_PATH": str(path)}.items():
            monkeypatch.setenv(name, value)
        yield forge


def timeless(text: str) -> str:
    """The comment without what depends on the speed of this machine."""
    return re.sub(r"latency is \S+ ms", "latency is N ms", text)


@pytest.fixture(scope="module")
def artifacts(site: Site, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the runs of a worse, an equal and a better pull request hand over, by folder."""
    folder, artifacts = tmp_path_factory.mktemp("pulls"), {}
    with pytest.MonkeyPatch.context() as patch:
        loop = project.live(site, patch)
        for pull, settings in project.PULLS.items():
            artifacts[pull] = project.measured(project.clone(loop, folder / pull, settings))
    return artifacts


@pytest.fixture
def base(artifacts: dict[str, Path]) -> Path:
    """A checkout of the base branch."""
    return artifacts["equal"].parent


@pytest.fixture
def artifact(artifacts: dict[str, Path], tmp_path: Path) -> Path:
    """The artifact of the better pull request, for a test to change."""
    return Path(shutil.copytree(artifacts["better"], tmp_path / "artifact"))


def rewrite(path: Path, *place: str | int, value: Any) -> None:
    """Put a value in a place of a JSON file; of a mapping, `*` is its last key."""
    content = json.loads(path.read_text())
    inner = content
    for key in place[:-1]:
        inner = inner[list(inner)[-1] if key == "*" else key]
    inner[place[-1]] = value
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("pull", list(project.PULLS))
def test_the_whole_comment_is(pull: str, artifacts: dict[str, Path], base: Path, forge: Forge) -> None:
    assert comment(artifacts[pull], base) == "The comment on #7 was written."
    assert timeless(forge.comments[0]["body"]) == (EXPECTED / f"{pull}.md").read_text()


def test_without_a_champion_the_baseline_is_the_measure(artifact: Path, base: Path, forge: Forge) -> None:
    (artifact / "champion.yaml").write_text("champion: null\n")
    comment(artifact, base)
    text = forge.comments[0]["body"]
    assert "### 🟢 This pull request's model is better than the baseline beyond doubt" in text
    assert "in 6 batches" in text and "| 2013-W26 | 1524 | 0." in text and "other checks" not in text


def test_of_a_champion_that_cannot_read_the_features_the_baseline_is_the_measure_and_the_comment_says_why(
    artifact: Path, base: Path, forge: Forge
) -> None:
    champion = read_champion(artifact / "champion.yaml")
    assert champion is not None and champion.recipe is not None
    content = json.loads((artifact / "evaluation.json").read_text())
    for scores in content["scores"].values():
        scores.pop(champion.run_id, None)
    content["failed"][champion.run_id] = "no score on batch 2013-W31: it needs the feature temp"
    (artifact / "evaluation.json").write_text(json.dumps(content))
    comment(artifact, base)
    body = forge.comments[0]["body"]
    assert "better than the baseline" in body
    assert "> Errors: version 1 has no score on batch 2013-W31: it needs the feature temp" in body


def test_a_champion_that_was_trained_on_all_batches_cannot_be_compared(
    artifact: Path, base: Path, forge: Forge
) -> None:
    evaluation = json.loads((artifact / "evaluation.json").read_text())
    (champion,) = re.findall(r"run_id: (\w+)", (artifact / "champion.yaml").read_text())
    removed = [scores.pop(champion, None) for scores in evaluation["scores"].values()]
    assert len([score for score in removed if score]) == 3
    (artifact / "evaluation.json").write_text(json.dumps(evaluation))
    comment(artifact, base)
    text = forge.comments[0]["body"]
    assert (
        "### ⚪ WAIT: there is too little evidence to compare this pull request's model with version 1"
        in text
    )
    assert "0 blocks of time to compare, gate.min\\_blocks is 5; only batches after 2013-07-15 count" in text
    assert "| 2013-W31 | 1622 | – | 0.5" in text and "mermaid" not in text


def test_the_base_branch_decides_with_its_own_parameters(artifact: Path, base: Path, forge: Forge) -> None:
    shutil.copy2(base / "params.yaml", artifact.parent)
    playground.edit(artifact.parent / "params.yaml", gate__max_model_mb=0.1)
    comment(artifact, artifact.parent)
    text = forge.comments[0]["body"]
    assert "### 🔴 This pull request's model fails a check against version 1" in text
    assert "\n\nIts size is 0.625 MB, gate.max\\_model\\_mb is 0.1. Candidate `all` loses" in text


def test_models_that_could_not_be_fitted_or_scored_are_errors(
    artifact: Path, base: Path, forge: Forge
) -> None:
    fitted = json.loads((artifact / "fitted.json").read_text())
    failed = [each | {"training": None, "error": "ValueError: no trees"} for each in fitted]
    (artifact / "fitted.json").write_text(json.dumps(failed[-1:]))
    (champion,) = re.findall(r"run_id: (\w+)", (artifact / "champion.yaml").read_text())
    why = {champion: "no score on batch 2013-W31: KeyError: 'tail'"}
    rewrite(artifact / "evaluation.json", "failed", value=why)
    comment(artifact, base)
    text = forge.comments[0]["body"]
    assert "### ⚪ WAIT" in text and "No model of this pull request could be scored" in text
    assert (
        "> Errors: all through 2013-W31: ValueError: no trees; version 1 has no score on batch 2013-W31"
        in text
    )


def test_a_run_without_an_artifact_is_reported_as_failed(base: Path, forge: Forge, tmp_path: Path) -> None:
    comment(tmp_path, base)
    assert "This pull request's model was not measured" in forge.comments[0]["body"]


def test_untrusted_text_means_nothing_to_github(artifact: Path, base: Path, forge: Forge) -> None:
    evil = "@everyone ![x](https://evil.example/p.png) <script>#1 | `x` | www.evil.example\n\n# Approved"
    evaluation = json.loads((artifact / "evaluation.json").read_text())
    for scores in evaluation["scores"].values():
        for score in scores.values():
            score["slices"][evil] = score["blocks"]
    for examined in evaluation["examined"].values():
        examined["fault"] = evil
    evaluation["failed"] = {evil: evil}
    (artifact / "evaluation.json").write_text(json.dumps(evaluation))
    comment(artifact, base)
    text = forge.comments[0]["body"]
    # GitHub's Markdown makes links of www., of addresses with a scheme and of mail addresses; a bare domain stays text.
    assert not re.search(r"@|<script|!\[|://evil|www\.|^# ", text, re.MULTILINE)
    assert text.count("?everyone") == 5  # the reason, the error, the edges, and the slice with its sentence


SCORE = ("scores", "2013-W31", "*")


@pytest.mark.parametrize(
    ("file", "place", "value", "reason"),
    [
        (
            "fitted.json",
            (0, "fit", "through"),
            "@all",
            "names of letters, digits, dots and dashes, got '@all'",
        ),
        ("fitted.json", (0, "fit", "candidate"), "`x`", "names of letters"),
        ("fitted.json", (0, "training"), "mine", "got Input should be .* at '0.training'"),
        ("evaluation.json", ("scores", "1](x)"), {}, "names of letters"),
        (
            "evaluation.json",
            ("scores",),
            {str(number): {} for number in range(61)},
            "at most 60 batches, got 61",
        ),
        ("evaluation.json", (*SCORE, "metric"), "brier", "gate.metric of the base branch .log_loss."),
        ("evaluation.json", (*SCORE, "blocks"), [], "the same rows and blocks of time for all models"),
        ("evaluation.json", (*SCORE, "blocks", 0, "number"), 77, "the same rows and blocks of time"),
        ("evaluation.json", (*SCORE, "blocks", 0, "rows"), 0, "blocks of one row or more"),
        ("evaluation.json", (*SCORE, "blocks", 0, "loss"), -1, "with a loss of 0 or more"),
        ("evaluation.json", (*SCORE, "blocks", 0, "loss"), float("nan"), "numbers up to 1e.100"),
        ("evaluation.json", (*SCORE, "auc"), 1e200, "numbers up to 1e.100"),
        ("evaluation.json", (*SCORE, "slices"), {}, "the same rows and blocks of time"),
        ("evaluation.json", (*SCORE, "calibration", 0, "rows"), "many", "what `dvc repro` writes"),
        ("evaluation.json", (*SCORE, "calibration"), [], "the same rows"),
        (
            "evaluation.json",
            (*SCORE, "calibration"),
            [{"rows": 1, "predicted": 1, "observed": 1}],
            "or 20 bins",
        ),
    ],
)
def test_what_the_pipeline_does_not_write_is_refused(
    file: str, place: tuple[str | int, ...], value: Any, reason: str, artifact: Path, base: Path, forge: Forge
) -> None:
    rewrite(artifact / file, *place, value=value)
    with pytest.raises(ReviewRefused, match=f"{file}: expected .*{reason}"):
        comment(artifact, base)
    assert forge.comments == []


MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "champion: {version: '1](x)', run_id: a, source: a, digest: a, trained_through: 2013-07-15T04:00:00Z}",
            "the number of a version, got '1](x)'",
        ),
        ("champion: {version: 1}", "what `trimtab champion` writes, got ValidationError"),
        ("model: null", "got KeyError"),
        ("champion: {", "got ParserError"),
        (f"{MERGES}champion: *a39", "got ValidationError"),
        ("[" * 10_000, "got RecursionError"),
    ],
)
def test_another_champion_file_is_refused(
    text: str, reason: str, artifact: Path, base: Path, forge: Forge
) -> None:
    (artifact / "champion.yaml").write_text(text)
    with pytest.raises(ReviewRefused, match=f"champion.yaml: expected .*{re.escape(reason)}"):
        comment(artifact, base)


def test_a_link_or_a_flood_is_refused(artifact: Path, base: Path, forge: Forge) -> None:
    path = artifact / "fitted.json"
    text = path.read_text()
    path.rename(artifact / "elsewhere.json")
    path.symlink_to(artifact / "elsewhere.json")
    with pytest.raises(ReviewRefused, match="fitted.json: expected a file, got none"):
        comment(artifact, base)
    path.unlink()
    path.write_text(text + " " * 10_000_000)
    with pytest.raises(ReviewRefused, match="at most 10000000 bytes"):
        comment(artifact, base)


def test_a_second_run_edits_the_comment_among_two_hundred(
    artifacts: dict[str, Path], base: Path, forge: Forge
) -> None:
    for _ in range(150):
        forge.say("somebody", "<!-- trimtab -->\n\nNot ours.")
    comment(artifacts["worse"], base)
    assert comment(artifacts["better"], base) == "The comment on #7 was edited."
    ours = [entry["body"] for entry in forge.comments if entry["user"]["login"] == "github-actions[bot]"]
    assert len(forge.comments) == 151 and len(ours) == 1
    assert "🟢" in ours[0]


def test_a_pull_request_with_newer_commits_gets_no_comment(
    artifacts: dict[str, Path], base: Path, forge: Forge
) -> None:
    forge.pulls[0]["head"]["sha"] = "f" * 40
    assert "has newer commits" in comment(artifacts["better"], base)
    assert forge.comments == []


def test_github_is_asked_again_when_a_later_try_may_succeed(
    artifacts: dict[str, Path], base: Path, forge: Forge
) -> None:
    forge.broken = [502, 429]
    assert "written" in comment(artifacts["better"], base)
    forge.broken = [403]
    with pytest.raises(GitHubRefused, match=r"GET /pulls.*got 403.*pull-requests: write"):
        comment(artifacts["better"], base)
