"""Make an origin out of a working tree as it is, and leave that tree alone."""

import shutil
import tempfile
from pathlib import Path

from trimtab.data.commands import dvc, git
from trimtab.data.origin import BRANCH, FOLDER
from trimtab.errors import CommandFailed, Unfit
from trimtab.stores import Stores


def exists(stores: Stores) -> bool:
    """Whether the origin answers and holds a commit."""
    try:
        return bool(git("ls-remote", stores.origin, f"refs/heads/{BRANCH}").strip())
    except CommandFailed:
        return False


def create(tree: Path, stores: Stores) -> None:
    """Copy a tree, committed or not, into a new origin with DVC set up; git's and DVC's own identity is trimtab's.

    Raises:
        Unfit: The tree is no git checkout, so nothing says which of its files belong to it.
    """
    try:
        listed = git("ls-files", "-co", "--exclude-standard", "-z", cwd=tree).split("\0")
    except CommandFailed as error:
        raise Unfit(f"{tree.resolve()} is no git checkout", "Clone trimtab, or run `git init` there.") from error
    stores.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=stores.home, prefix="origin-") as temporary:
        draft = Path(temporary) / "draft"
        for name in filter(None, listed):
            if (tree / name).is_file() and not name.startswith(".dvc/"):
                (draft / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(tree / name, draft / name)
        (draft / FOLDER).mkdir(parents=True, exist_ok=True)
        # DVC edits .gitignore at each add, which would make concurrent commits conflict: the pattern is there before.
        (draft / FOLDER / ".gitignore").write_text("/*.parquet\n", encoding="utf-8")
        _set_up(draft, stores)
        _publish(draft, stores, Path(temporary) / "origin.git")


def _set_up(draft: Path, stores: Stores) -> None:
    git("init", "-q", "-b", BRANCH, cwd=draft)
    dvc("init", "-q", cwd=draft)
    dvc("config", "core.analytics", "false", cwd=draft)
    dvc("config", "cache.type", "hardlink,symlink,copy", cwd=draft)
    dvc("remote", "add", "-q", "-d", "storage", stores.dvc_remote, cwd=draft)
    git("add", "-A", cwd=draft)
    git("commit", "-q", "-m", "Start from the working tree as it is", cwd=draft)


def _publish(draft: Path, stores: Stores, bare: Path) -> None:
    if "://" in stores.origin or "@" in stores.origin:
        git("push", "-q", stores.origin, f"HEAD:refs/heads/{BRANCH}", cwd=draft)
        return
    git("clone", "-q", "--bare", str(draft), str(bare))
    git("remote", "remove", "origin", cwd=bare)
    bare.rename(stores.origin)
