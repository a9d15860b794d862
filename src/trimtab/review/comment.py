"""`trimtab comment`: say on a pull request how its model does against the one in Production."""

import os
from pathlib import Path

from trimtab import params
from trimtab.errors import Unfit
from trimtab.review import handed, markdown, pull
from trimtab.review.github import BOT, GitHub

JUDGING = (
    "src/trimtab/evaluate/",
    "src/trimtab/project/evaluate.py",
    "src/trimtab/project/plan.py",
    "src/trimtab/contracts.py",
    "src/trimtab/data/",
    "dvc.yaml",
    "MLproject",
    "params.yaml",
    "requirements.txt",
    "deploy/review/",
    "Makefile",
)
"""A change of these changes what is measured, or by what it is judged."""


def comment(folder: Path, root: Path = Path()) -> str:
    """Write or edit the comment of the run whose artifact lies in `folder`; without `verdict.json` it says that it failed.

    The gate is that of the checkout in `root`, which must be the base branch. Reads `GITHUB_EVENT_PATH`,
    `GITHUB_REPOSITORY`, `GITHUB_TOKEN`, and `GITHUB_API_URL`.

    Raises:
        ReviewRefused: The artifact is not what `trimtab evaluate` leaves.
        GitHubRefused: GitHub does not take it.
        Unfit: A variable is missing.
    """
    github = GitHub(
        _need("GITHUB_API_URL"), _need("GITHUB_REPOSITORY"), _need("GITHUB_TOKEN"), author=_author()
    )
    found = pull.find(Path(_need("GITHUB_EVENT_PATH")), github, _run_url())
    if found is None:
        return "The pull request moved on or is closed: nothing to say."
    touched = tuple(name for name in github.changed(found.number) if name.startswith(JUDGING))
    origin = markdown.Origin(commit=found.commit, run_url=found.run_url, touched=touched)
    text = _text(folder, params.load(root / params.FILE).gate, origin)
    return f"The comment on #{found.number} was {github.stick(found.number, markdown.MARKER, text)}."


def _text(folder: Path, gate: params.Gate, origin: markdown.Origin) -> str:
    if not (folder / handed.FILE).exists():
        return markdown.failed(origin)
    verdict = handed.read(folder)
    again, mine = handed.judge_again(verdict, gate), handed.gate_of(verdict, gate)
    return markdown.comment(verdict, again, mine.min_gain, origin)


def _run_url() -> str:
    words = [os.environ.get(name, "") for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")]
    return f"{words[0]}/{words[1]}/actions/runs/{words[2]}"


def _author() -> str:
    return os.environ.get("TRIMTAB_COMMENT_AUTHOR", BOT)


def _need(name: str) -> str:
    if not os.environ.get(name):
        raise Unfit(f"{name} is not set", "`trimtab comment` runs in a job of GitHub Actions, which sets it.")
    return os.environ[name]
