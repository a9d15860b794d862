"""The data objects of the DVC remote, whatever kind of remote it is, by content hash."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trimtab.errors import Unfit
from trimtab.origin.commands import git
from trimtab.origin.mirror import address
from trimtab.origin.origin import REMOTE, md5_of
from trimtab.settings import Settings

_POINTER = ".parquet.dvc"


@contextmanager
def remote(stores: Settings) -> Iterator["Objects"]:
    """Open the DVC remote through DVC's own drivers, with the settings that stand outside git."""
    from dvc.repo import Repo

    with tempfile.TemporaryDirectory(prefix="trimtab-dvc-") as folder:
        place = Path(folder)
        # Written by hand: `dvc init` refuses settings of a remote outside git until the repository names a URL for it.
        (place / ".dvc").mkdir()
        url = address(stores.dvc_remote)
        (place / ".dvc" / "config").write_text(
            f"""[core]\n    no_scm = true\n    remote = {REMOTE}\n['remote "{REMOTE}"']\n    url = "{url}"\n""",
            encoding="utf-8",
        )
        with Repo(str(place), config={"core": {"site_cache_dir": str(place / "site")}}) as repo:
            yield Objects(repo.cloud.get_remote_odb(REMOTE))


class Objects:
    """Objects by md5; a path in the remote is DVC's business."""

    def __init__(self, odb: Any) -> None:
        self._odb = odb

    def has(self, md5: str) -> bool:
        """Whether the remote holds an object."""
        return bool(self._odb.fs.exists(self._odb.oid_to_path(md5)))

    def get(self, md5: str, path: Path) -> None:
        """Copy an object to a file.

        Raises:
            Unfit: Its bytes are not what its name says.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._odb.fs.get_file(self._odb.oid_to_path(md5), str(path))
        found = file_md5(path)
        if found != md5:
            path.unlink()
            raise Unfit(f"Object {md5} of the DVC remote holds other bytes ({found})", "Push it again.")

    def read(self, md5: str) -> bytes:
        """Return an object's bytes."""
        content: bytes = self._odb.fs.cat_file(self._odb.oid_to_path(md5))
        return content

    def put(self, path: Path, md5: str) -> None:
        """Copy a file into the remote; what is there by this name is replaced."""
        target = self._odb.oid_to_path(md5)
        self._odb.fs.makedirs(self._odb.fs.parent(target), exist_ok=True)
        self._odb.fs.put_file(str(path), target)

    def all(self) -> list[str]:
        """Return the hashes of all objects.

        Raises:
            Unfit: This kind of remote lists none (HTTP).
        """
        try:
            return sorted(self._odb.all())
        except FileNotFoundError:
            return []
        except NotImplementedError as error:
            raise _cannot("list objects") from error

    def info(self, md5: str) -> dict[str, Any]:
        """Return what the remote knows of an object: `size`, and `mtime` or the like."""
        return dict(self._odb.fs.info(self._odb.oid_to_path(md5)))

    def remove(self, md5: str) -> None:
        """Delete an object.

        Raises:
            Unfit: This kind of remote deletes none (HTTP).
        """
        try:
            self._odb.fs.remove(self._odb.oid_to_path(md5))
        except NotImplementedError as error:
            raise _cannot("delete objects") from error


def _cannot(what: str) -> Unfit:
    return Unfit(f"DVC cannot {what} of this kind of remote", "Do it on its server, or move to another kind.")


def named_in(repository: Path) -> set[str]:
    """Return the hashes that any DVC pointer of any commit in a bare repository names."""
    return set(pointers_in(repository))


def pointers_in(repository: Path) -> dict[str, str]:
    """Return the batch of each hash that any DVC pointer of any commit in a bare repository names."""
    listed = git("rev-list", "--objects", "--all", cwd=repository).splitlines()
    blobs = [line.split(" ", 1) for line in listed if line.endswith(_POINTER)]
    return {
        md5_of(git("cat-file", "blob", blob, cwd=repository)): Path(path).name.removesuffix(_POINTER)
        for blob, path in blobs
    }


def file_md5(path: Path) -> str:
    """Return the md5 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
