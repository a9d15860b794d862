"""A bare mirror of the origin in the home folder, so that reads are the same for every git server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from trimtab import files
from trimtab.errors import CommandFailed, StoreUnreachable, Unfit
from trimtab.origin.commands import cause, git
from trimtab.redaction import without_credentials
from trimtab.settings import Settings

BRANCH = "main"
_REFS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")


def address(url: str) -> str:
    """Return a store's URL in a form that is valid in any working directory: a path becomes absolute."""
    remote = "://" in url or ":" in url.split("/")[0]
    return url if remote else str(Path(url).resolve())


@contextmanager
def reaching(stores: Settings, store: Literal["origin", "dvc_remote"]) -> Iterator[None]:
    """Report a failure of git or DVC as a store that does not answer, with the command's reason.

    Raises:
        StoreUnreachable: A command in the block failed.
    """
    try:
        yield
    except CommandFailed as error:
        name = {"origin": "The origin", "dvc_remote": "The DVC remote"}[store]
        url, variable = address(getattr(stores, store)), stores.variable(store)
        raise StoreUnreachable(name, url, variable, cause(error)) from error


def no_branch(stores: Settings) -> Unfit:
    """Build the error for an origin without a commit."""
    return Unfit(f"The origin at {stores.origin} has no branch {BRANCH}", "Create it with `trimtab init`.")


class Mirror:
    """The origin as of the last fetch. A commit that is not here yet is fetched.

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
            raise no_branch(self._stores) from error

    def show(self, path: str, commit: str) -> str:
        """Return a file's text at a commit."""
        self._ensure(commit)
        return git("show", f"{commit}:{path}", cwd=self._folder)

    def json_files(self, folder: str, commit: str) -> str:
        """Return a JSON list of the contents of the JSON files in a folder, without its subfolders, at a commit."""
        self._ensure(commit)
        names = git("ls-tree", "-z", "--name-only", commit, f"{folder}/", cwd=self._folder).split("\0")
        objects = "".join(f"{commit}:{name}\n" for name in names if name.endswith(".json"))
        # Before each file, git writes the line that `--batch` gives: a comma.
        contents = git("cat-file", "--batch=,", cwd=self._folder, stdin=objects)
        return f"[{contents.removeprefix(',')}]"

    def clone(self, dest: Path, commit: str) -> None:
        """Check out a commit in a new clone that shares the mirror's objects."""
        self._ensure(commit)
        git("clone", "-q", "--shared", "--no-checkout", str(self._folder), str(dest))
        # MLflow records this URL with each run.
        git("remote", "set-url", "origin", without_credentials(address(self._stores.origin)), cwd=dest)
        git("checkout", "-q", "-B", BRANCH, commit, cwd=dest)

    def _ensure(self, commit: str) -> None:
        if not self._folder.is_dir():
            return self._fetch()
        try:
            git("cat-file", "-e", f"{commit}^{{commit}}", cwd=self._folder)
        except CommandFailed:
            self._fetch()

    def _fetch(self) -> None:
        with files.locked(self._stores.home / "mirror.lock") as lock:
            if not self._folder.is_dir():
                with files.new_folder(self._folder) as draft:
                    git("init", "-q", "--bare", "-b", BRANCH, str(draft), lock=lock)
            # Only the holder of our lock writes here, so git's own lock files are left over from a killed git.
            for stale in (*self._folder.glob("*.lock"), *(self._folder / "refs").rglob("*.lock")):
                stale.unlink()
            with reaching(self._stores, "origin"):
                url = address(self._stores.origin)
                git("fetch", "-q", "--prune", url, *_REFS, cwd=self._folder, lock=lock)
