"""The few calls of GitHub's REST API that a sticky comment needs."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import requests

from trimtab.errors import GitHubRefused

_TRIES, _TIMEOUT_SECONDS, _WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 4, 20, 1.0, 60.0
_PASSING = {429, 500, 502, 503, 504}
_PAGE, _MOST_PAGES = 100, 50
_LONGEST_COMMENT = 65_000


class GitHub:
    """One repository.

    Args:
        api: Base address, as `GITHUB_API_URL` has it.
        repository: `owner/name`.
        token: May read pull requests and write comments.
        author: Whose comment is taken for ours; a stranger's with our marker is not.

    Raises:
        GitHubRefused: An answer that is no success, after up to four tries where a later one may succeed.
    """

    def __init__(self, api: str, repository: str, token: str, *, author: str) -> None:
        self._base, self._author = f"{api.rstrip('/')}/repos/{repository}", author
        self._session = requests.Session()
        self._session.headers.update(
            {
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {token}",
                "X-GitHub-Api-Version": "2022-11-28",
            }
        )

    def open_pulls(self, head: str) -> list[dict[str, Any]]:
        """Return the open pull requests from `owner:branch`."""
        return list(self._pages(f"/pulls?state=open&head={quote(head, safe=':')}"))

    def changed(self, number: int) -> list[str]:
        """Return the paths that a pull request changes; a renamed file by both names."""
        found = self._pages(f"/pulls/{number}/files")
        return [name for one in found for name in (one["filename"], one.get("previous_filename")) if name]

    def stick(self, number: int, marker: str, text: str) -> str:
        """Edit our comment that begins with the marker, or write the first; returns `edited` or `written`."""
        body = {"body": text[:_LONGEST_COMMENT]}
        for one in self._pages(f"/issues/{number}/comments"):
            if one["user"]["login"] == self._author and str(one["body"]).startswith(marker):
                self._call("PATCH", f"/issues/comments/{int(one['id'])}", body)
                return "edited"
        self._call("POST", f"/issues/{number}/comments", body)
        return "written"

    def _pages(self, path: str) -> Iterator[dict[str, Any]]:
        joint = "&" if "?" in path else "?"
        for page in range(1, _MOST_PAGES + 1):
            found = self._call("GET", f"{path}{joint}per_page={_PAGE}&page={page}")
            yield from found
            if len(found) < _PAGE:
                return

    def _call(self, method: str, path: str, body: object = None) -> Any:
        # A comment that was written before its answer got lost must not be written twice.
        tries = 1 if method == "POST" else _TRIES
        for left in reversed(range(tries)):
            try:
                answer = self._session.request(method, self._base + path, json=body, timeout=_TIMEOUT_SECONDS)
            except requests.RequestException as error:
                if not left:
                    raise GitHubRefused(method, path, type(error).__name__) from error
                time.sleep(_WAIT_SECONDS)
                continue
            if answer.ok:
                return answer.json()
            if not left or answer.status_code not in _PASSING:
                raise GitHubRefused(method, path, f"{answer.status_code} {answer.text[:200]!r}")
            time.sleep(_pause(answer))
        raise AssertionError("unreachable")


def _pause(answer: requests.Response) -> float:
    asked = answer.headers.get("Retry-After", "")
    return min(float(asked), _LONGEST_WAIT_SECONDS) if asked.isdigit() else _WAIT_SECONDS
