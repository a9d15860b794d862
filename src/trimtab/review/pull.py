"""Which pull request a run belongs to: by what GitHub says of the run, never by what the run hands over."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trimtab.errors import ReviewRefused
from trimtab.review.github import GitHub


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """A pull request at the commit that was trained, and the page of that run."""

    number: int
    commit: str
    run_url: str


def find(event: Path, github: GitHub, run_url: str) -> Pull | None:
    """Read the event file of `workflow_run` or `pull_request`; None when the pull request moved on or is closed.

    A `workflow_run` of a fork names no pull request: it is looked up by the head branch, and its head must be the commit
    that was trained.

    Raises:
        ReviewRefused: The event is another one.
        GitHubRefused: GitHub does not say.
    """
    content: Mapping[str, Any] = json.loads(event.read_text(encoding="utf-8"))
    if "pull_request" in content:
        pull = content["pull_request"]
        return Pull(number=int(pull["number"]), commit=str(pull["head"]["sha"]), run_url=run_url)
    if content.get("workflow_run", {}).get("event") != "pull_request":
        raise ReviewRefused(
            event.name, "an event `pull_request`, or a `workflow_run` of one", ", ".join(content)
        )
    run = content["workflow_run"]
    head = f"{run['head_repository']['owner']['login']}:{run['head_branch']}"
    for pull in github.open_pulls(head):
        if pull["head"]["sha"] == run["head_sha"]:
            return Pull(number=int(pull["number"]), commit=str(run["head_sha"]), run_url=str(run["html_url"]))
    return None
