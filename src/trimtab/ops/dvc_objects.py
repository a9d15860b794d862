"""Read, write and delete the objects of a DVC remote of any kind, by MD5."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trimtab import files
from trimtab.errors import Unfit
from trimtab.origin.commands import git
from trimtab.origin.mirror import address
from trimtab.origin.origin import REMOTE, md5_of
from trimtab.settings import Settings

_POINTER = ".parquet.dvc"


@contextmanager
def remote(stores: Settings) -> Iterator["Objects"]:
    """Open the DVC remote through DVC's own drivers, with the settings that are kept outside git."""
    from dvc.repo import Repo

    with tempfile.TemporaryDirectory(prefix="trimtab-dvc-") as folder:
        root = Path(folder)
        # Not by `dvc init`, which refuses settings of a remote outside git until the repository names a URL for it.
        (root / ".dvc").mkdir()
        url = address(stores.dvc_remote)
        (root / ".dvc" / "config").write_text(
            f"""[core]\n    no_scm = true\n    remote = {REMOTE}\n['remote "{REMOTE}"']\n    url = "{url}"\n""",
            encoding="utf-8",
        )
        with Repo(str(root), config={"core": {"site_cache_dir": str(root / "site")}}) as repo:
            yield Objects(repo.cloud.get_remote_odb(REMOTE))


class Objects:
    """The objects of one remote; DVC decides where in the remote an object is."""

    def __init__(self, odb: Any) -> None:
        self._odb = odb

    def has(self, md5: str) -> bool:
        """Say whether the remote has an object."""
        return bool(self._odb.fs.exists(self._odb.oid_to_path(md5)))

    def get(self, md5: str, path: Path) -> None:
        """Copy an object to a file.

        Raises:
            Unfit: The MD5 of its bytes is another one.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._odb.fs.get_file(self._odb.oid_to_path(md5), str(path))
        copied = files.digest(path, "md5")
        if copied != md5:
            path.unlink()
            raise Unfit(f"Object {md5} of the DVC remote has other bytes ({copied})", "Push it again.")

    def read(self, md5: str) -> bytes:
        """Return an object's bytes."""
        content: bytes = self._odb.fs.cat_file(self._odb.oid_to_path(md5))
        return content

    def put(self, path: Path, md5: str) -> None:
        """Copy a file into the remote, over an object of this name."""
        target = self._odb.oid_to_path(md5)
        self._odb.fs.makedirs(self._odb.fs.parent(target), exist_ok=True)
        self._odb.fs.put_file(str(path), target)

    def all(self) -> list[str]:
        """Return the MD5 of all objects.

        Raises:
            Unfit: DVC cannot list this kind of remote (HTTP).
        """
        try:
            return sorted(self._odb.all())
        except FileNotFoundError:
            return []
        except NotImplementedError as error:
            raise _cannot("list objects") from error

    def info(self, md5: str) -> dict[str, Any]:
        """Return the metadata of an object: `size`, and `mtime` or the like."""
        return dict(self._odb.fs.info(self._odb.oid_to_path(md5)))

    def remove(self, md5: str) -> None:
        """Delete an object.

        Raises:
            Unfit: DVC cannot delete from this kind of remote (HTTP).
        """
        try:
            self._odb.fs.remove(self._odb.oid_to_path(md5))
        except NotImplementedError as error:
            raise _cannot("delete objects") from error


def _cannot(action: str) -> Unfit:
    return Unfit(
        f"DVC cannot {action} of this kind of remote", "Do it on its server, or move to another kind."
    )


def batches_by_md5(repository: Path) -> dict[str, str]:
    """Return the objects that the DVC pointers of all commits in a bare repository name, and the batch of each."""
    pointers = files_named(repository, _POINTER)
    return {md5_of(content): Path(path).name.removesuffix(_POINTER) for path, content in pointers}


def files_named(repository: Path, suffix: str | tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield path and content of the files, and folders, of all commits in a bare repository that end with a suffix."""
    for line in git("rev-list", "--objects", "--all", cwd=repository).splitlines():
        if line.endswith(suffix):
            blob, path = line.split(" ", 1)
            yield path, git("cat-file", "-p", blob, cwd=repository)
