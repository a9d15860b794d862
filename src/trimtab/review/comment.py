"""`trimtab comment`: report on a pull request how its model compares with the one in Production."""

from collections.abc import Sequence
from pathlib import Path

from trimtab import params, settings
from trimtab.review import artifact, markdown
from trimtab.review.github import GitHub, Pull
from trimtab.review.result import compare

JUDGING = (
    "src/trimtab/evaluate/",
    "src/trimtab/project/",
    "src/trimtab/trigger/",
    "src/trimtab/contracts.py",
    "src/trimtab/data/",
    "dvc.yaml",
    "MLproject",
    "params.yaml",
    "requirements.txt",
    "deploy/review/",
    "Makefile",
)
"""Changes to these files change what is measured, or how it is judged."""


def comment(folder: Path, root: Path = Path()) -> str:
    """Write or edit the comment on the run whose artifact is in `folder`; without one it says that the run failed.

    The parameters are those of the checkout in `root`, which must be the base branch. Reads `GITHUB_EVENT_PATH`,
    `GITHUB_REPOSITORY`, `GITHUB_TOKEN`, and `GITHUB_API_URL`.

    Raises:
        ReviewRefused: The artifact is not one of `make review`.
        GitHubRefused: GitHub does not accept the comment.
        SettingsError: A variable is not set.
    """
    job = settings.read()
    github = GitHub(
        job.require("github_api_url"),
        job.require("github_repository"),
        job.require("github_token").get_secret_value(),
        author=job.comment_author,
    )
    run_url = f"{job.github_server_url}/{job.github_repository}/actions/runs/{job.github_run_id}"
    pull = github.find_pull(job.require("github_event_path"), run_url)
    if pull is None:
        return "The pull request has newer commits or is closed: no comment was written."
    touched = [name for name in github.changed(pull.number) if name.startswith(JUDGING)]
    text = _text(folder, params.load(root / params.FILE), pull, touched)
    return f"The comment on #{pull.number} was {github.upsert_comment(pull.number, markdown.MARKER, text)}."


def _text(folder: Path, parameters: params.Params, pull: Pull, touched: Sequence[str]) -> str:
    if not (folder / artifact.EVALUATION).exists():
        return markdown.failed(pull)
    measured = artifact.read(folder, parameters.gate.metric)
    return markdown.comment(measured, compare(measured, parameters), pull, touched)
