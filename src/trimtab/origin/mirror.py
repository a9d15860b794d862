"""A bare mirror of the origin under the home folder: reads do not care which git server the origin is on."""

import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

from trimtab.errors import CommandFailed, StoreUnreachable, Unfit
from trimtab.origin.commands import cause, git, without_credentials
from trimtab.settings import Settings

BRANCH = "main"
_REFS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")


def address(url: str) -> str:
    """Return a store's URL as git and DVC take it from any working directory: a path becomes absolute."""
    remote = "://" in url or ":" in url.split("/")[0]
    return url if remote else str(Path(url).resolve())


def unreachable(stores: Settings, error: CommandFailed) -> StoreUnreachable:
    """Say that the git server does not answer, and why git thinks so."""
    url = without_credentials(address(stores.origin))
    return StoreUnreachable("The origin", url, "TRIMTAB_ORIGIN_URL", cause(error))


class Mirror:
    """What the origin held when it was last asked. A commit that is not here yet is fetched.

    Raises:
        StoreUnreachable: The git server does not answer.
    """

    def __init__(self, stores: Settings) -> None:
        self._stores = stores
        self._folder = stores.home / "mirror.git"

    def head(self) -> str:
        """Fetch, and return the newest commit.

        Raises:
            Unfit: The origin is empty.
        """
        self._fetch()
        try:
            return git("rev-parse", "--verify", f"refs/heads/{BRANCH}", cwd=self._folder).strip()
        except CommandFailed as error:
            what = f"The origin at {without_credentials(self._stores.origin)} has no branch {BRANCH}"
            raise Unfit(what, "Make it with `trimtab init`.") from error

    def show(self, path: str, commit: str) -> str:
        """Return a file's text at a commit."""
        self._ensure(commit)
        return git("show", f"{commit}:{path}", cwd=self._folder)

    def texts(self, folder: str, suffix: str, commit: str) -> list[str]:
        """Return the text of every file with this suffix directly in a folder at a commit."""
        self._ensure(commit)
        listed = git("ls-tree", "-z", "--name-only", commit, f"{folder}/", cwd=self._folder).split("\0")
        wanted = [f"{commit}:{name}\n" for name in listed if name.endswith(suffix)]
        if not wanted:
            return []
        answer = git("cat-file", "--batch=%(objectsize)", cwd=self._folder, stdin="".join(wanted))
        return list(_contents(answer))

    def clone(self, dest: Path, commit: str) -> None:
        """Check a commit out into a new clone that pushes to the origin and borrows the mirror's objects."""
        self._ensure(commit)
        git("clone", "-q", "--shared", "--no-checkout", str(self._folder), str(dest))
        git("remote", "set-url", "origin", address(self._stores.origin), cwd=dest)
        git("checkout", "-q", "-B", BRANCH, commit, cwd=dest)

    def _ensure(self, commit: str) -> None:
        if not self._folder.is_dir():
            return self._fetch()
        try:
            git("cat-file", "-e", f"{commit}^{{commit}}", cwd=self._folder)
        except CommandFailed:
            self._fetch()

    def _fetch(self) -> None:
        self._stores.home.mkdir(parents=True, exist_ok=True)
        with (self._stores.home / "mirror.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._make(lock.fileno())
            # Only who holds our lock writes here, so what git left locked is of a git that was killed.
            for stale in (*self._folder.glob("*.lock"), *(self._folder / "refs").rglob("*.lock")):
                stale.unlink()
            url = address(self._stores.origin)
            try:
                git("fetch", "-q", "--prune", url, *_REFS, cwd=self._folder, lock=lock.fileno())
            except CommandFailed as error:
                raise unreachable(self._stores, error) from error

    def _make(self, lock: int) -> None:
        if self._folder.is_dir():
            return
        draft = self._folder.with_name(f".{self._folder.name}.part")
        shutil.rmtree(draft, ignore_errors=True)
        git("init", "-q", "--bare", "-b", BRANCH, str(draft), lock=lock)
        draft.rename(self._folder)


def _contents(answer: str) -> Iterator[str]:
    """Split what `git cat-file --batch=%(objectsize)` prints: a line with the size, the bytes, a line feed."""
    data, place = answer.encode(errors="surrogateescape"), 0
    while place < len(data):
        end = data.index(b"\n", place)
        size = int(data[place:end])
        yield data[end + 1 : end + 1 + size].decode()
        place = end + 1 + size + 1
