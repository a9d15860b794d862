"""`trimtab comment`: say on a pull request how its model does against the one in Production."""

from pathlib import Path

from trimtab import params, settings
from trimtab.review import handed, markdown, pull
from trimtab.review.github import GitHub
from trimtab.settings import Settings

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
        SettingsError: A variable is missing.
    """
    job = settings.read()
    github = GitHub(
        job.require("github_api_url"),
        job.require("github_repository"),
        job.require("github_token").get_secret_value(),
        author=job.comment_author,
    )
    found = pull.find(job.require("github_event_path"), github, _run_url(job))
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


def _run_url(job: Settings) -> str:
    return f"{job.github_server_url}/{job.github_repository}/actions/runs/{job.github_run_id}"
