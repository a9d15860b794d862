"""What `doctor` runs in a process of its own, to be ended at a limit: push a file of a few bytes, pull it, delete it."""

import os
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trimtab import stores
from trimtab.data.mirror import address
from trimtab.data.origin import REMOTE
from trimtab.errors import TrimtabError, Unfit
from trimtab.keep.objects import Objects, file_md5


def probe() -> str:
    """Try the DVC remote of the environment.

    Raises:
        Unfit: It gives back other bytes.
    """
    with tempfile.TemporaryDirectory() as folder, _opened(Path(folder)) as objects:
        path = Path(folder) / "probe"
        path.write_text(f"trimtab doctor {uuid.uuid4()}\n", encoding="utf-8")  # two at once do not meet
        md5 = file_md5(path)
        objects.put(path, md5)
        objects.get(md5, Path(folder) / "pulled")
        return "a probe was pushed and pulled" + _gone(objects, md5)


@contextmanager
def _opened(folder: Path) -> Iterator[Objects]:
    # `dvc init` refuses settings of a remote outside git as long as the repository names no URL for it.
    (folder / ".dvc").mkdir()
    url = address(stores.from_environment().dvc_remote)
    (folder / ".dvc" / "config").write_text(
        f"""[core]\n    no_scm = true\n    remote = {REMOTE}\n['remote "{REMOTE}"']\n    url = "{url}"\n""",
        encoding="utf-8",
    )
    os.environ["DVC_SITE_CACHE_DIR"] = str(folder / "site")
    from dvc.repo import Repo

    with Repo(str(folder)) as repo:
        yield Objects(repo.cloud.get_remote_odb(REMOTE))


def _gone(objects: Objects, md5: str) -> str:
    try:
        objects.remove(md5)
    except (NotImplementedError, Unfit):
        return f"; it stays there as {md5}: DVC deletes nothing on this kind of remote"
    return ", and is gone again"


if __name__ == "__main__":
    try:
        print(probe())
    except TrimtabError as error:
        sys.exit(f"ERROR: {error}")
    except Exception as error:  # a driver fails in any way it likes
        told = " ".join(str(error).split()) or "no reason given"
        sys.exit(f"ERROR: {type(error).__name__}: {told}")
