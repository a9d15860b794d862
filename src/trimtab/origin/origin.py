"""The origin: one git repository with code, parameters and the DVC pointers of every batch.

Reads go through a mirror. Writes go through a clone of their own and a push that only succeeds when nobody pushed in
between.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from trimtab import params
from trimtab.contracts import BatchRecord, Manifest, from_json, to_json
from trimtab.errors import CommandFailed, OriginConflict, StoreUnreachable
from trimtab.origin.commands import cause, dvc, git, without_credentials
from trimtab.origin.mirror import BRANCH, Mirror, address, unreachable
from trimtab.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "data/batches"
REMOTE = "storage"
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

    def __init__(self, stores: Settings) -> None:
        self._stores = stores
        self._mirror = Mirror(stores)

    def head(self) -> str:
        """Fetch, and return the newest commit.

        Raises:
            Unfit: The origin is empty.
        """
        return self._mirror.head()

    def show(self, path: str, commit: str) -> str:
        """Return a file's text at a commit."""
        return self._mirror.show(path, commit)

    def params(self, commit: str) -> params.Params:
        """Return the parameters at a commit."""
        return params.parse(self.show(params.FILE, commit))

    def manifests(self, commit: str) -> list[Manifest]:
        """Return the manifests of all batches at a commit, oldest batch first."""
        texts = self._mirror.texts(FOLDER, ".json", commit)
        found = from_json(list[Manifest], f"[{','.join(texts)}]")  # one by one takes ten times as long
        return sorted(found, key=lambda manifest: manifest.start)

    def commit_batch(self, manifest: Manifest, frame: "pd.DataFrame") -> BatchRecord:
        """Version a batch: file to the DVC remote, pointer and manifest to the origin. The push is a compare-and-swap.

        A batch whose newest revision came from the same landed file is left as it is.

        Raises:
            OriginConflict: Another revision of this batch came in first, or the origin moved too often.
        """
        with self._clone(self.head()) as clone:
            if not self._is_known(clone, manifest):
                self._write(clone, manifest, frame)
                self._push(clone)
            return _record(clone, manifest.batch)

    def fetch_batch(self, batch: str, *, md5: str, commit: str) -> "pd.DataFrame":
        """Return the rows of a batch at a commit, from the shared cache if its bytes are there and are right."""
        import pandas as pd

        cached = self._stores.dvc_cache / "files" / "md5" / md5[:2] / md5[2:]
        if cached.is_file():
            if hashlib.md5(cached.read_bytes(), usedforsecurity=False).hexdigest() == md5:
                return pd.read_parquet(cached)
            cached.unlink()  # DVC would trust it
        with self._clone(commit) as clone:
            self._pull(clone, [batch])
            return pd.read_parquet(clone / FOLDER / f"{batch}.parquet")

    def checkout(self, dest: Path, commit: str, batches: Sequence[str]) -> None:
        """Make a fresh clone at a commit with the data of the named batches; what was at `dest` goes."""
        shutil.rmtree(dest, ignore_errors=True)
        dest.parent.mkdir(parents=True, exist_ok=True)
        self._clone_to(dest, commit)
        self._pull(dest, batches)

    @contextmanager
    def _clone(self, commit: str) -> Iterator[Path]:
        work = self._stores.work
        work.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=work, prefix="clone-", ignore_cleanup_errors=True) as folder:
            clone = Path(folder) / "clone"
            self._clone_to(clone, commit)
            yield clone

    def _clone_to(self, dest: Path, commit: str) -> None:
        self._mirror.clone(dest, commit)
        cache, remote = self._stores.dvc_cache, address(self._stores.dvc_remote)
        # Two calls of `dvc config` would take a second. The remote is the one in force, not that of the first commit.
        (dest / ".dvc" / "config.local").write_text(
            f"""[cache]\n    dir = "{cache}"\n['remote "{REMOTE}"']\n    url = "{remote}"\n""",
            encoding="utf-8",
        )

    def _pull(self, clone: Path, batches: Sequence[str]) -> None:
        if batches:  # without a target DVC pulls everything
            self._transfer("pull", *(pointer(batch) for batch in batches), clone=clone)

    def _transfer(self, *words: str, clone: Path) -> None:
        try:
            dvc(*words, cwd=clone)
        except CommandFailed as error:
            url = without_credentials(address(self._stores.dvc_remote))
            raise StoreUnreachable("The DVC remote", url, "TRIMTAB_DVC_REMOTE_URL", cause(error)) from error

    def _is_known(self, clone: Path, manifest: Manifest) -> bool:
        path = clone / FOLDER / f"{manifest.batch}.json"
        newest = from_json(Manifest, path.read_bytes()) if path.is_file() else None
        if newest is not None and newest.source_sha256 == manifest.source_sha256:
            return True
        if manifest.revision != (newest.revision if newest else 0) + 1:
            raise self._conflict(1)
        return False

    def _write(self, clone: Path, manifest: Manifest, frame: "pd.DataFrame") -> None:
        note = f"{FOLDER}/{manifest.batch}.json"
        frame.to_parquet(clone / FOLDER / f"{manifest.batch}.parquet", index=False)
        (clone / note).write_text(to_json(manifest) + "\n", encoding="utf-8")
        dvc("add", f"{FOLDER}/{manifest.batch}.parquet", cwd=clone)
        self._transfer("push", pointer(manifest.batch), clone=clone)
        git("add", "-f", pointer(manifest.batch), note, cwd=clone)
        git("commit", "-q", "-m", f"Add batch {manifest.batch}, revision {manifest.revision}", cwd=clone)

    def _push(self, clone: Path) -> None:
        for _ in range(_TRIES):
            try:
                git("push", "-q", "origin", f"HEAD:{BRANCH}", cwd=clone)
                return
            except CommandFailed as error:
                if "rejected" not in error.output and "cannot lock ref" not in error.output:
                    raise unreachable(self._stores, error) from error
            self._rebase(clone)
        raise self._conflict(_TRIES)

    def _rebase(self, clone: Path) -> None:
        try:
            git("fetch", "-q", "origin", BRANCH, cwd=clone)
        except CommandFailed as error:
            raise unreachable(self._stores, error) from error
        try:
            git("rebase", "-q", "FETCH_HEAD", cwd=clone)
        except CommandFailed as error:  # the same batch came in, with other content
            raise self._conflict(1) from error

    def _conflict(self, tries: int) -> OriginConflict:
        return OriginConflict(without_credentials(address(self._stores.origin)), tries)


def _record(clone: Path, batch: str) -> BatchRecord:
    note = f"{FOLDER}/{batch}.json"
    return BatchRecord(
        manifest=from_json(Manifest, (clone / note).read_bytes()),
        commit=git("log", "-1", "--format=%H", "--", pointer(batch), note, cwd=clone).strip(),
        md5=md5_of((clone / pointer(batch)).read_text(encoding="utf-8")),
    )
