"""The origin: one git repository with code, parameters and the DVC pointers of every batch.

Reads go through a bare mirror under the home folder, so any git server can be the origin. Writes go through a clone of
their own and a push that only succeeds when nobody pushed in between.
"""

import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import NoReturn

import pandas as pd
import yaml

from trimtab import params
from trimtab.contracts import BatchRecord, Manifest, from_json, to_json
from trimtab.data.commands import dvc, git
from trimtab.errors import CommandFailed, OriginConflict, StoreUnreachable
from trimtab.stores import Stores

BRANCH = "main"
FOLDER = "data/batches"
_TRIES = 10


def pointer(batch: str) -> str:
    """Name a batch's DVC pointer within the origin."""
    return f"{FOLDER}/{batch}.parquet.dvc"


def md5_of(pointer_text: str) -> str:
    """Read the content hash out of a DVC pointer."""
    return str(yaml.safe_load(pointer_text)["outs"][0]["md5"])


class Origin:
    """The versioned data, on whatever git server and DVC remote the stores name.

    Raises:
        StoreUnreachable: The git server or the DVC remote does not answer; nothing is half done.
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    def head(self) -> str:
        """Fetch, and return the newest commit."""
        self._fetch()
        return git("rev-parse", f"refs/heads/{BRANCH}", cwd=self._mirror).strip()

    def show(self, path: str, commit: str) -> str:
        """Return a file's text at a commit."""
        return git("show", f"{commit}:{path}", cwd=self._mirror)

    def params(self, commit: str) -> params.Params:
        """Return the parameters at a commit."""
        return params.parse(self.show(params.FILE, commit))

    def manifests(self, commit: str) -> list[Manifest]:
        """Return the manifests of all batches at a commit, oldest batch first."""
        listed = git("ls-tree", "--name-only", commit, f"{FOLDER}/", cwd=self._mirror).splitlines()
        names = [name for name in listed if name.endswith(".json")]
        if not names:
            return []
        wanted = "".join(f"{commit}:{name}\n" for name in names)
        text = git("cat-file", "--batch=%(objectsize)", cwd=self._mirror, stdin=wanted)
        found = [from_json(Manifest, content) for content in _contents(text)]
        return sorted(found, key=lambda manifest: manifest.start)

    def commit_batch(self, manifest: Manifest, frame: pd.DataFrame) -> BatchRecord:
        """Version a batch: file to the DVC remote, pointer and manifest to the origin. The push is a compare-and-swap.

        A batch whose newest revision came from the same landed file is left as it is.

        Raises:
            OriginConflict: Another revision of this batch came in first, or the origin moved too often.
        """
        with self._clone() as clone:
            known = self._known(clone, manifest)
            if known is not None:
                return known
            self._write(clone, manifest, frame)
            for _ in range(_TRIES):
                try:
                    git("push", "-q", "origin", f"HEAD:{BRANCH}", cwd=clone)
                    break
                except CommandFailed as error:
                    if "rejected" not in error.output and "cannot lock ref" not in error.output:
                        self._unreachable(error)
                try:
                    git("pull", "-q", "--rebase", "origin", BRANCH, cwd=clone)
                except CommandFailed as error:
                    raise OriginConflict(self._stores.origin, 1) from error
            else:
                raise OriginConflict(self._stores.origin, _TRIES)
            return self._record(clone, manifest.batch)

    def fetch_batch(self, batch: str, *, md5: str, commit: str) -> pd.DataFrame:
        """Return the rows of a batch at a commit, from the shared cache if its bytes are there and are right."""
        cached = self._stores.dvc_cache / "files" / "md5" / md5[:2] / md5[2:]
        if cached.is_file() and hashlib.md5(cached.read_bytes(), usedforsecurity=False).hexdigest() == md5:
            return pd.read_parquet(cached)
        with self._clone(commit) as clone:
            self._pull(clone, [batch])
            return pd.read_parquet(clone / FOLDER / f"{batch}.parquet")

    def checkout(self, dest: Path, commit: str, batches: Sequence[str]) -> None:
        """Make a fresh clone at a commit with the data of the named batches; what was at `dest` goes."""
        shutil.rmtree(dest, ignore_errors=True)
        dest.parent.mkdir(parents=True, exist_ok=True)
        self._clone_to(dest, commit)
        self._pull(dest, batches)

    @property
    def _mirror(self) -> Path:
        return self._stores.home / "mirror.git"

    @cached_property
    def _url(self) -> str:
        return self._stores.origin

    def _fetch(self) -> None:
        self._stores.home.mkdir(parents=True, exist_ok=True)
        with (self._stores.home / "mirror.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                if not (self._mirror / "HEAD").exists():
                    shutil.rmtree(self._mirror, ignore_errors=True)
                    git("clone", "-q", "--mirror", self._url, str(self._mirror))
                git("fetch", "-q", "--prune", self._url, "+refs/*:refs/*", cwd=self._mirror)
            except CommandFailed as error:
                self._unreachable(error)

    def _unreachable(self, error: CommandFailed) -> NoReturn:
        cause = error.output.strip().splitlines()[-1:] or ["no answer"]
        raise StoreUnreachable("The origin", self._url, "TRIMTAB_ORIGIN_URL", cause[0]) from error

    @contextmanager
    def _clone(self, commit: str | None = None) -> Iterator[Path]:
        self._stores.work.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._stores.work, prefix="clone-", ignore_cleanup_errors=True) as folder:
            clone = Path(folder) / "clone"
            self._clone_to(clone, commit or self.head())
            yield clone

    def _clone_to(self, dest: Path, commit: str) -> None:
        self._fetch()
        git("clone", "-q", "--shared", "--no-checkout", str(self._mirror), str(dest))
        git("remote", "set-url", "origin", self._url, cwd=dest)
        git("checkout", "-q", "-B", BRANCH, commit, cwd=dest)
        dvc("cache", "dir", "--local", str(self._stores.dvc_cache), cwd=dest)

    def _pull(self, clone: Path, batches: Sequence[str]) -> None:
        try:
            dvc("pull", *(pointer(batch) for batch in batches), cwd=clone)
        except CommandFailed as error:
            self._remote_unreachable(error)

    def _remote_unreachable(self, error: CommandFailed) -> NoReturn:
        cause = error.output.strip().splitlines()[-1:] or ["no answer"]
        address = self._stores.dvc_remote
        raise StoreUnreachable("The DVC remote", address, "TRIMTAB_DVC_REMOTE_URL", cause[0]) from error

    def _known(self, clone: Path, manifest: Manifest) -> BatchRecord | None:
        path = clone / FOLDER / f"{manifest.batch}.json"
        newest = from_json(Manifest, path.read_bytes()) if path.is_file() else None
        if newest is not None and newest.source_sha256 == manifest.source_sha256:
            return self._record(clone, manifest.batch)
        if manifest.revision != (newest.revision if newest else 0) + 1:
            raise OriginConflict(self._url, 1)
        return None

    def _write(self, clone: Path, manifest: Manifest, frame: pd.DataFrame) -> None:
        folder = clone / FOLDER
        frame.to_parquet(folder / f"{manifest.batch}.parquet", index=False)
        (folder / f"{manifest.batch}.json").write_text(to_json(manifest) + "\n", encoding="utf-8")
        dvc("add", f"{FOLDER}/{manifest.batch}.parquet", cwd=clone)
        try:
            dvc("push", pointer(manifest.batch), cwd=clone)
        except CommandFailed as error:
            self._remote_unreachable(error)
        git("add", pointer(manifest.batch), f"{FOLDER}/{manifest.batch}.json", cwd=clone)
        git("commit", "-q", "-m", f"Add batch {manifest.batch}, revision {manifest.revision}", cwd=clone)

    def _record(self, clone: Path, batch: str) -> BatchRecord:
        commit = git("log", "-1", "--format=%H", "--", pointer(batch), cwd=clone).strip()
        return BatchRecord(
            manifest=from_json(Manifest, (clone / FOLDER / f"{batch}.json").read_bytes()),
            commit=commit,
            md5=md5_of((clone / pointer(batch)).read_text(encoding="utf-8")),
        )


def _contents(text: str) -> Iterator[str]:
    """Split what `git cat-file --batch=%(objectsize)` prints: a line with the size, the bytes, a line feed."""
    data, place = text.encode(), 0
    while place < len(data):
        end = data.index(b"\n", place)
        size = int(data[place:end])
        yield data[end + 1 : end + 1 + size].decode()
        place = end + 1 + size + 1
