"""Make an origin out of a working tree as it is, and leave that tree alone."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from trimtab.errors import CommandFailed, Unfit
from trimtab.origin.commands import dvc, git, without_credentials
from trimtab.origin.mirror import BRANCH, address, unreachable
from trimtab.origin.origin import FOLDER, REMOTE
from trimtab.settings import Settings

_SET_UP_BY_DVC = [".dvc/config", ".dvc/.gitignore", ".dvcignore"]


def exists(stores: Settings) -> bool:
    """Whether the origin holds a commit.

    Raises:
        StoreUnreachable: Nobody can tell.
    """
    url = address(stores.origin)
    if Path(url).is_absolute() and not Path(url).exists():
        return False
    try:
        return bool(git("ls-remote", url, f"refs/heads/{BRANCH}").strip())
    except CommandFailed as error:
        raise unreachable(stores, error) from error


def create(tree: Path, stores: Settings) -> None:
    """Copy a tree, committed or not, into a new origin with DVC set up.

    Raises:
        Unfit: The tree is no git checkout, so nothing says which of its files belong to it; or there is an origin.
        StoreUnreachable: The git server does not take the origin.
    """
    try:
        listed = git("ls-files", "-co", "--exclude-standard", "-z", cwd=tree).split("\0")
    except CommandFailed as error:
        what = f"{tree.resolve()} is no git checkout"
        raise Unfit(what, "Clone trimtab, or run `git init` there.") from error
    if exists(stores):
        raise Unfit(f"There is an origin at {address(stores.origin)} already", "Move it away to start anew.")
    names = [name for name in listed if name and (tree / name).is_file() and not name.startswith(".dvc/")]
    stores.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=stores.home, prefix="origin-") as temporary:
        draft = Path(temporary) / "draft"
        for name in names:
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(tree / name, draft / name)
        _set_up(draft, names, stores)
        _publish(draft, stores)


def _set_up(draft: Path, names: Sequence[str], stores: Settings) -> None:
    ignore = f"{FOLDER}/.gitignore"
    (draft / FOLDER).mkdir(parents=True, exist_ok=True)
    # DVC edits .gitignore at each add, which would make concurrent commits conflict: the pattern is there before.
    (draft / ignore).write_text("/*.parquet\n", encoding="utf-8")
    git("init", "-q", "-b", BRANCH, cwd=draft)
    dvc("init", cwd=draft)
    dvc("config", "core.analytics", "false", cwd=draft)
    dvc("config", "cache.type", "hardlink,symlink,copy", cwd=draft)
    # A password would be in git for ever; each checkout is given the URL that is in force.
    dvc("remote", "add", "-d", REMOTE, without_credentials(address(stores.dvc_remote)), cwd=draft)
    # Forced, by name: what the user's git tracks is in, whatever this or that .gitignore says.
    wanted = "\0".join(sorted({*names, *_SET_UP_BY_DVC, ignore}))
    git(
        "--literal-pathspecs",
        "add",
        "-f",
        "--pathspec-from-file=-",
        "--pathspec-file-nul",
        cwd=draft,
        stdin=wanted,
    )
    git("commit", "-q", "-m", "Start from the working tree as it is", cwd=draft)


def _publish(draft: Path, stores: Settings) -> None:
    url = Path(address(stores.origin))
    if not url.is_absolute():
        try:
            git("push", "-q", stores.origin, f"HEAD:refs/heads/{BRANCH}", cwd=draft)
        except CommandFailed as error:
            raise unreachable(stores, error) from error
        return
    url.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=url.parent, prefix="origin-") as temporary:
        bare = Path(temporary) / "origin.git"
        git("clone", "-q", "--bare", str(draft), str(bare))
        git("remote", "remove", "origin", cwd=bare)
        bare.rename(url)
