"""The origin: one git repository with code, parameters and the DVC pointers of every batch.

Reads use a mirror. Each write uses a clone of its own, and its push succeeds only if nobody else pushed in between.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from trimtab import files, params
from trimtab.contracts import Manifest, from_json, to_json
from trimtab.errors import CommandFailed, OriginConflict
from trimtab.ledger import Batch
from trimtab.origin.commands import dvc, git
from trimtab.origin.mirror import BRANCH, Mirror, address, reaching
from trimtab.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "data/batches"
REMOTE = "storage"
_TRIES = 10


def pointer(batch: str) -> str:
    """Return the path of a batch's DVC pointer in the origin."""
    return f"{FOLDER}/{batch}.parquet.dvc"


def md5_of(pointer_text: str) -> str:
    """Return the content hash in a DVC pointer."""
    return str(yaml.safe_load(pointer_text)["outs"][0]["md5"])


def cached(stores: Settings, md5: str) -> Path:
    """Return the path of an object in the cache that all checkouts share."""
    return stores.dvc_cache / "files" / "md5" / md5[:2] / md5[2:]


class Origin(Mirror):
    """The versioned data on the git server and the DVC remote of the given stores.

    Raises:
        StoreUnreachable: The git server or the DVC remote does not answer. No batch is left half written.
    """

    def params(self, commit: str) -> params.Params:
        """Return the parameters at a commit."""
        return params.parse(self.show(params.FILE, commit))

    def manifests(self, commit: str) -> list[Manifest]:
        """Return the manifests of all batches at a commit, oldest batch first."""
        return _manifests(self.json_files(FOLDER, commit))

    def commit_batch(
        self,
        manifest: Manifest,
        frame: "pd.DataFrame",
        accept: Callable[[Sequence[Manifest]], None] = lambda others: None,
    ) -> Batch:
        """Push a batch: its file to the DVC remote, then its pointer and manifest to the origin as a compare-and-swap.

        A batch whose newest revision is from the same landed file is not changed.

        Args:
            manifest: Of the new revision.
            frame: Its rows.
            accept: Called before each try to push with the manifests of the other batches at the commit that the push
                builds on. It raises if the batch may not be added to these.

        Raises:
            OriginConflict: Another revision of this batch was pushed first, or the origin moved too often.
        """
        with self._clone(self.head()) as clone:
            if not self._is_committed(clone, manifest):
                accept(_others(clone, manifest))
                self._write(clone, manifest, frame)
                self._push(clone, lambda: accept(_others(clone, manifest)))
            return _fact(clone, manifest.batch)

    def fetch_batch(self, batch: str, *, md5: str, commit: str) -> "pd.DataFrame":
        """Return the rows of a batch at a commit, from the shared cache if it holds the file intact."""
        import pandas as pd

        if path := self.find_cached(md5):
            return pd.read_parquet(path)
        with self._clone(commit) as clone:
            self._pull(clone, [batch])
            return pd.read_parquet(clone / FOLDER / f"{batch}.parquet")

    def checkout(self, dest: Path, commit: str, batches: Sequence[str]) -> None:
        """Replace `dest` by a clone at a commit, with the data of these batches."""
        shutil.rmtree(dest, ignore_errors=True)
        dest.parent.mkdir(parents=True, exist_ok=True)
        self._clone_to(dest, commit)
        # Starting DVC takes 2 s, so it is only for what the shared cache lacks.
        self._pull(dest, [batch for batch in batches if not self._link(dest, batch)])

    def find_cached(self, md5: str) -> Path | None:
        """Return the path of an object in the cache that all checkouts share, None if it is not there intact."""
        path = cached(self._stores, md5)
        if path.is_file() and files.digest(path, "md5") != md5:
            path.unlink()  # DVC does not check the content of its cache
        return path if path.is_file() else None

    @contextmanager
    def _clone(self, commit: str) -> Iterator[Path]:
        work = self._stores.work
        work.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=work, prefix="clone-", ignore_cleanup_errors=True) as folder:
            clone = Path(folder) / "clone"
            self._clone_to(clone, commit)
            yield clone

    def _clone_to(self, dest: Path, commit: str) -> None:
        dest.mkdir(mode=0o700)  # for the password that the remote's URL may hold
        self.clone(dest, commit)
        cache, remote = self._stores.dvc_cache, address(self._stores.dvc_remote)
        # Two calls of `dvc config` would take a second. The URL of today may differ from the committed one.
        config = f"""[cache]\n    dir = "{cache}"\n['remote "{REMOTE}"']\n    url = "{remote}"\n"""
        files.write(dest / ".dvc" / "config.local", config, private=True)

    def _pull(self, clone: Path, batches: Sequence[str]) -> None:
        if batches:  # without a target, DVC pulls everything
            with reaching(self._stores, "dvc_remote"):
                dvc("pull", *map(pointer, batches), cwd=clone)

    def _link(self, clone: Path, batch: str) -> bool:
        path = self.find_cached(md5_of((clone / pointer(batch)).read_text(encoding="utf-8")))
        try:
            if path:
                (clone / FOLDER / f"{batch}.parquet").hardlink_to(path)
        except OSError:  # the cache is on another file system, or `trimtab ops gc` was quicker
            return False
        return path is not None

    def _is_committed(self, clone: Path, manifest: Manifest) -> bool:
        path = clone / _manifest_path(manifest.batch)
        newest = from_json(Manifest, path.read_bytes()) if path.is_file() else None
        if newest is not None and newest.source_sha256 == manifest.source_sha256:
            return True
        if manifest.revision != (newest.revision if newest else 0) + 1:
            raise self._conflict(1)
        return False

    def _write(self, clone: Path, manifest: Manifest, frame: "pd.DataFrame") -> None:
        path = _manifest_path(manifest.batch)
        frame.to_parquet(clone / FOLDER / f"{manifest.batch}.parquet", index=False)
        (clone / path).write_text(to_json(manifest) + "\n", encoding="utf-8")
        dvc("add", f"{FOLDER}/{manifest.batch}.parquet", cwd=clone)
        with reaching(self._stores, "dvc_remote"):
            dvc("push", pointer(manifest.batch), cwd=clone)
        git("add", "-f", pointer(manifest.batch), path, cwd=clone)
        git("commit", "-q", "-m", f"Add batch {manifest.batch}, revision {manifest.revision}", cwd=clone)

    def _push(self, clone: Path, accept: Callable[[], None]) -> None:
        for _ in range(_TRIES):
            with reaching(self._stores, "origin"):
                try:
                    git("push", "-q", address(self._stores.origin), f"HEAD:{BRANCH}", cwd=clone)
                    return
                except CommandFailed as error:
                    if "rejected" not in error.output and "cannot lock ref" not in error.output:
                        raise
            self._rebase(clone)
            accept()
        raise self._conflict(_TRIES)

    def _rebase(self, clone: Path) -> None:
        with reaching(self._stores, "origin"):
            git("fetch", "-q", address(self._stores.origin), BRANCH, cwd=clone)
        try:
            git("rebase", "-q", "FETCH_HEAD", cwd=clone)
        except CommandFailed as error:  # the same batch was pushed with other content
            raise self._conflict(1) from error

    def _conflict(self, tries: int) -> OriginConflict:
        return OriginConflict(address(self._stores.origin), tries)


def _manifests(text: str) -> list[Manifest]:
    # Parsing each manifest by itself takes ten times as long.
    return sorted(from_json(list[Manifest], text), key=lambda manifest: manifest.start)


def _others(clone: Path, manifest: Manifest) -> list[Manifest]:
    paths = [path for path in (clone / FOLDER).glob("*.json") if path.stem != manifest.batch]
    return _manifests(f"[{','.join(path.read_text(encoding='utf-8') for path in paths)}]")


def _manifest_path(batch: str) -> str:
    return f"{FOLDER}/{batch}.json"


def _fact(clone: Path, batch: str) -> Batch:
    path = _manifest_path(batch)
    return Batch(
        manifest=from_json(Manifest, (clone / path).read_bytes()),
        commit=git("log", "-1", "--format=%H", "--", pointer(batch), path, cwd=clone).strip(),
        md5=md5_of((clone / pointer(batch)).read_text(encoding="utf-8")),
    )
