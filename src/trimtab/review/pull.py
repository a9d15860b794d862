"""Find the pull request that a run belongs to, from GitHub's event and never from the run's own files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trimtab.errors import ReviewRefused
from trimtab.review.github import GitHub


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """A pull request at the commit that was trained, and the page of the run."""

    number: int
    commit: str
    run_url: str


def find(event: Path, github: GitHub, run_url: str) -> Pull | None:
    """Read the event file of `workflow_run` or `pull_request`.

    The `workflow_run` of a fork does not name its pull request. It is looked up by the head branch, and its head must be the
    commit that was trained.

    Returns:
        The pull request, or None if it has newer commits or is closed.

    Raises:
        ReviewRefused: It is another event.
        GitHubRefused: GitHub answers with an error.
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
