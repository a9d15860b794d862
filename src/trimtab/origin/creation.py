"""Creates an origin from a working tree, and does not change the tree."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from trimtab import files
from trimtab.errors import CommandFailed, Unfit
from trimtab.origin.commands import dvc, git
from trimtab.origin.mirror import BRANCH, address, reaching
from trimtab.origin.origin import FOLDER, REMOTE
from trimtab.redaction import without_credentials
from trimtab.settings import Settings

_SET_UP_BY_DVC = [".dvc/config", ".dvc/.gitignore", ".dvcignore"]
_DVC_CONFIG = f"""\
[core]
    analytics = false
    remote = {REMOTE}
[cache]
    type = "hardlink,symlink,copy"
['remote "{REMOTE}"']
    url = "%s"
"""


def exists(stores: Settings) -> bool:
    """Return whether the origin has a commit.

    Raises:
        StoreUnreachable: The git server does not answer.
    """
    url = address(stores.origin)
    if Path(url).is_absolute() and not Path(url).exists():
        return False
    with reaching(stores, "origin"):
        return bool(git("ls-remote", url, f"refs/heads/{BRANCH}"))


def create(tree: Path, stores: Settings) -> None:
    """Copy a tree, uncommitted changes included, into a new origin with DVC set up.

    Raises:
        Unfit: The tree is not a git checkout, so that nothing says which files belong to it; or the origin exists already.
        StoreUnreachable: The git server does not accept the push.
    """
    try:
        paths = git("ls-files", "-co", "--exclude-standard", "-z", cwd=tree).split("\0")
    except CommandFailed as error:
        remedy = "Clone trimtab, or run `git init` there."
        raise Unfit(f"{tree.resolve()} is not a git checkout", remedy) from error
    if exists(stores):
        raise Unfit(f"There is an origin at {address(stores.origin)} already", "Move it away to start again.")
    names = [name for name in paths if name and (tree / name).is_file() and not name.startswith(".dvc/")]
    stores.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=stores.home, prefix="origin-") as temporary:
        draft = Path(temporary) / "draft"
        for name in names:
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(tree / name, draft / name)
        _set_up(draft, names, stores)
        publish(draft, stores)


def _set_up(draft: Path, names: Sequence[str], stores: Settings) -> None:
    ignore = f"{FOLDER}/.gitignore"
    (draft / FOLDER).mkdir(parents=True, exist_ok=True)
    # Without this pattern DVC edits .gitignore at each add, and concurrent commits conflict.
    (draft / ignore).write_text("/*.parquet\n", encoding="utf-8")
    git("init", "-q", "-b", BRANCH, cwd=draft)
    dvc("init", cwd=draft)
    # A password would stay in git forever. Each checkout gets the full URL from the environment.
    url = without_credentials(address(stores.dvc_remote))
    (draft / ".dvc" / "config").write_text(_DVC_CONFIG % url, encoding="utf-8")
    # Added by name and by force: the files that the user's git tracks, whatever a .gitignore says.
    added = "\0".join(sorted({*names, *_SET_UP_BY_DVC, ignore}))
    git(
        "--literal-pathspecs",
        "add",
        "-f",
        "--pathspec-from-file=-",
        "--pathspec-file-nul",
        cwd=draft,
        stdin=added,
    )
    git("commit", "-q", "-m", "Start from the working tree as it is", cwd=draft)


def publish(repository: Path, stores: Settings) -> None:
    """Copy all branches of a repository to the origin, whose folder or repository on the server must be empty.

    Raises:
        StoreUnreachable: The git server does not accept the push.
    """
    if (folder := Path(address(stores.origin))).is_absolute():
        with files.new_folder(folder) as bare:
            git("clone", "-q", "--mirror", "--no-hardlinks", str(repository), str(bare))
            git("remote", "remove", "origin", cwd=bare)
    else:
        with reaching(stores, "origin"):
            git("push", "-q", stores.origin, "refs/*:refs/*", cwd=repository)
