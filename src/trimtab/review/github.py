"""The pull request that a job is about, and the calls of GitHub's REST API for a comment that is edited, not repeated."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from trimtab.errors import GitHubRefused, ReviewRefused

_RETRIES = Retry(
    total=3,
    backoff_factor=1.0,
    retry_after_max=60,
    status_forcelist=(429, 500, 502, 503, 504),
    allowed_methods=("GET", "PATCH"),
    raise_on_status=False,
)
"""Not for POST: if only the answer got lost, a second try would write the comment twice."""
_TIMEOUT_SECONDS = 20
_PAGE, _MOST_PAGES = 100, 50
_LONGEST_COMMENT = 65_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """A pull request at the commit that was trained, and the page of the run."""

    number: int
    commit: str
    run_url: str


class GitHub:
    """One repository.

    Args:
        api: Base address, as in `GITHUB_API_URL`.
        repository: `owner/name`.
        token: May read pull requests and write comments.
        author: Login of the author of our comment; comments of other people are never edited, even with our marker.

    Raises:
        GitHubRefused: The answer is an error, after up to four tries if a later try may succeed.
    """

    def __init__(self, api: str, repository: str, token: str, *, author: str) -> None:
        self._base, self._author = f"{api.rstrip('/')}/repos/{repository}", author
        self._session = requests.Session()
        self._session.mount(api, HTTPAdapter(max_retries=_RETRIES))
        self._session.headers.update(
            {
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {token}",
                "X-GitHub-Api-Version": "2022-11-28",
            }
        )

    def find_pull(self, event: Path, run_url: str) -> Pull | None:
        """Return the pull request that the event file of a `workflow_run` or `pull_request` is about.

        The `workflow_run` of a fork does not name its pull request. It is looked up by the head branch, and its head must be
        the commit that was trained. No file of the run itself is asked.

        Returns:
            The pull request, or None if it has newer commits or is closed.

        Raises:
            ReviewRefused: It is another event.
        """
        content = json.loads(event.read_text(encoding="utf-8"))
        if pull := content.get("pull_request"):
            return Pull(number=int(pull["number"]), commit=str(pull["head"]["sha"]), run_url=run_url)
        run = content.get("workflow_run", {})
        if run.get("event") != "pull_request":
            expected = "an event `pull_request`, or a `workflow_run` of one"
            raise ReviewRefused(event.name, expected, ", ".join(content))
        head = quote(f"{run['head_repository']['owner']['login']}:{run['head_branch']}", safe=":")
        for pull in self._pages(f"/pulls?state=open&head={head}"):
            if pull["head"]["sha"] == run["head_sha"]:
                return Pull(number=int(pull["number"]), commit=run["head_sha"], run_url=run["html_url"])
        return None

    def changed(self, number: int) -> list[str]:
        """Return the paths that a pull request changes, both names of a renamed file."""
        files = self._pages(f"/pulls/{number}/files")
        return [name for file in files for name in (file["filename"], file.get("previous_filename")) if name]

    def upsert_comment(self, number: int, marker: str, text: str) -> str:
        """Edit our comment that begins with the marker, or write it; return `edited` or `written`."""
        body = {"body": text[:_LONGEST_COMMENT]}
        for comment in self._pages(f"/issues/{number}/comments"):
            if comment["user"]["login"] == self._author and str(comment["body"]).startswith(marker):
                self._call("PATCH", f"/issues/comments/{int(comment['id'])}", body)
                return "edited"
        self._call("POST", f"/issues/{number}/comments", body)
        return "written"

    def _pages(self, path: str) -> Iterator[dict[str, Any]]:
        joint = "&" if "?" in path else "?"
        for page in range(1, _MOST_PAGES + 1):
            entries = self._call("GET", f"{path}{joint}per_page={_PAGE}&page={page}")
            yield from entries
            if len(entries) < _PAGE:
                return

    def _call(self, method: str, path: str, body: object = None) -> Any:
        try:
            answer = self._session.request(method, self._base + path, json=body, timeout=_TIMEOUT_SECONDS)
        except requests.RequestException as error:
            raise GitHubRefused(method, path, type(error).__name__) from error
        if not answer.ok:
            raise GitHubRefused(method, path, f"{answer.status_code} {answer.text[:200]!r}")
        return answer.json()
