"""The comment on a pull request, from the real gate on real flights, against a stand-in of GitHub's API."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.review import project
from tests.integration.review.forge import SECRETS, Forge, running
from tests.support.moments import Site
from trimtab.contracts import Verdict, from_json, to_json
from trimtab.errors import GitHubRefused, ReviewRefused
from trimtab.review.comment import comment

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
def verdicts(site: Site, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the gate says of a worse, an equal and a better challenger: folders that a run hands over."""
    folder, comments = tmp_path_factory.mktemp("pulls"), {}
    with pytest.MonkeyPatch.context() as patch:
        loop = project.live(site, patch)
        for pull, settings in project.PULLS.items():
            comments[pull] = project.judged(project.clone(loop, folder / pull, settings))
    return comments


@pytest.mark.parametrize("pull", list(project.PULLS))
def test_the_whole_comment_is(pull: str, verdicts: dict[str, Path], forge: Forge) -> None:
    base = verdicts["equal"].parent
    assert comment(verdicts[pull], base) == "The comment on #7 was written."
    assert timeless(forge.comments[0]["body"]) == (EXPECTED / f"{pull}.md").read_text()


def test_a_second_run_edits_the_comment_among_two_hundred(verdicts: dict[str, Path], forge: Forge) -> None:
    base = verdicts["equal"].parent
    for _ in range(150):
        forge.say("somebody", "<!-- trimtab -->\n\nNot ours.")
    comment(verdicts["worse"], base)
    assert comment(verdicts["better"], base) == "The comment on #7 was edited."
    ours = [entry["body"] for entry in forge.comments if entry["user"]["login"] == "github-actions[bot]"]
    assert len(forge.comments) == 151 and len(ours) == 1
    assert "PROMOTE" in ours[0]


def test_a_pull_request_with_newer_commits_gets_no_comment(verdicts: dict[str, Path], forge: Forge) -> None:
    forge.pulls[0]["head"]["sha"] = "f" * 40
    assert "has newer commits" in comment(verdicts["better"], verdicts["equal"].parent)
    assert forge.comments == []


def test_a_run_without_a_verdict_is_reported_as_failed(
    verdicts: dict[str, Path], forge: Forge, tmp_path: Path
) -> None:
    comment(tmp_path, verdicts["equal"].parent)
    assert "No verdict on this pull request's model" in forge.comments[0]["body"]


def test_a_forged_verdict_is_judged_again(verdicts: dict[str, Path], forge: Forge, tmp_path: Path) -> None:
    content = json.loads((verdicts["worse"] / "verdict.json").read_text())
    content |= {"kind": "PROMOTE", "reason": "PROMOTE: trust me"}
    content["comparison"] |= {"gain": 9.0, "lower": 9.0, "upper": 9.0}
    (tmp_path / "verdict.json").write_text(json.dumps(content))
    comment(tmp_path, verdicts["equal"].parent)
    said = forge.comments[0]["body"]
    assert "### 🔴 REJECT" in said and "trust me" not in said and "9.0" not in said
    assert "The pull request's own gate says PROMOTE" in said


def test_untrusted_text_means_nothing_to_github(
    verdicts: dict[str, Path], forge: Forge, tmp_path: Path
) -> None:
    content = json.loads((verdicts["worse"] / "verdict.json").read_text())
    evil = "@everyone ![x](https://evil.example/p.png) <script>#1 | `x` | www.evil.example\n\n# Approved"
    content["checks"] = [{"name": evil, "passed": False, "value": 1, "limit": 0, "sentence": evil}]
    content["probes"] = {evil: "PROMOTE"}
    (tmp_path / "verdict.json").write_text(json.dumps(content))
    comment(tmp_path, verdicts["equal"].parent)
    said = forge.comments[0]["body"]
    # GitHub's Markdown makes links of www., of addresses with a scheme and of mail addresses; a bare domain stays text.
    assert not re.search(r"@|<script|!\[|://evil|www\.|^# ", said, re.MULTILINE)
    assert "?everyone" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"champion": "1](x)"}, "the number of a version as champion"),
        ({"kind": "SHIP IT"}, "the verdict of `trimtab evaluate`"),
        ({"blocks": []}, "blocks of time"),
        ({"look": 99}, "a look from 1"),
        ({"judged_on": [{"batch": "@all", "revision": 1}]}, "batch ids of letters"),
        (
            {"blocks": [{"batch": "a", "number": 0, "rows": 0, "champion": 1, "challenger": 1}]},
            "blocks of one row",
        ),
        (
            {"blocks": [{"batch": "a", "number": 0, "rows": 1, "champion": float("nan"), "challenger": 1}]},
            "finite",
        ),
    ],
)
def test_a_verdict_that_no_gate_gives_is_refused(
    change: dict[str, object], said: str, verdicts: dict[str, Path], forge: Forge, tmp_path: Path
) -> None:
    content = json.loads((verdicts["worse"] / "verdict.json").read_text())
    (tmp_path / "verdict.json").write_text(json.dumps(content | change))
    with pytest.raises(ReviewRefused, match=said):
        comment(tmp_path, verdicts["equal"].parent)
    assert forge.comments == []


def test_a_link_or_a_flood_is_refused(verdicts: dict[str, Path], forge: Forge, tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    path.symlink_to(verdicts["worse"] / "verdict.json")
    with pytest.raises(ReviewRefused, match="expected a file"):
        comment(tmp_path, verdicts["equal"].parent)
    path.unlink()
    path.write_text(
        to_json(from_json(Verdict, (verdicts["worse"] / "verdict.json").read_bytes())) + " " * 1_000_000
    )
    with pytest.raises(ReviewRefused, match="at most 1000000 bytes"):
        comment(tmp_path, verdicts["equal"].parent)


def test_github_is_asked_again_when_a_later_try_may_succeed(verdicts: dict[str, Path], forge: Forge) -> None:
    forge.broken = [502, 429]
    assert "written" in comment(verdicts["better"], verdicts["equal"].parent)
    forge.broken = [403]
    with pytest.raises(GitHubRefused, match=r"GET /pulls.*got 403.*pull-requests: write"):
        comment(verdicts["better"], verdicts["equal"].parent)
