"""Push, wipe, pull and compare on a remote of each kind; and what wrong credentials leave behind."""

import hashlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.remotes.servers import HOST, KINDS, Remote
from tests.integration.test_origin import manifest, rows, run, stores_below
from trimtab.errors import StoreUnreachable, Unfit
from trimtab.ops import dvc_objects
from trimtab.ops.doctor.store_checks import Places
from trimtab.ops.gc import is_older
from trimtab.origin import creation
from trimtab.origin.origin import FOLDER, REMOTE, Origin
from trimtab.settings import Settings


@pytest.fixture(params=list(KINDS))
def remote(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Remote]:
    folder = tmp_path / "server"
    folder.mkdir()
    # Known hosts are found below HOME; nothing of this machine's own settings may help.
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "private"))
    with KINDS[request.param](folder) as remote:
        yield remote


@pytest.fixture
def stores(remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("TRIMTAB_DVC_REMOTE_URL", remote.url)
    return made(tmp_path, remote.url)


def made(tmp_path: Path, url: str) -> Settings:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "notes.txt").write_text("a tree")
    run("git", "init", "-q", cwd=tree)
    stores = replace(stores_below(tmp_path / "var"), dvc_remote=url)
    creation.create(tree, stores)
    return stores


def configure(tmp_path: Path, settings: Mapping[str, str]) -> None:
    lines = [f"""['remote "{REMOTE}"']""", *(f"    {name} = {value}" for name, value in settings.items())]
    (tmp_path / "private").mkdir(exist_ok=True)
    (tmp_path / "private" / "config").write_text("\n".join(lines) + "\n")


def history(stores: Settings) -> bytes:
    """Every object that the origin holds, reachable or not."""
    command = ["git", "cat-file", "--batch-all-objects", "--batch"]
    return subprocess.run(command, cwd=stores.origin, check=True, capture_output=True).stdout


def test_what_was_pushed_is_pulled_again_by_an_empty_cache(
    remote: Remote, stores: Settings, tmp_path: Path
) -> None:
    configure(tmp_path, remote.right)
    origin = Origin(stores)
    record = origin.commit_batch(manifest(1), rows(1))
    shutil.rmtree(stores.dvc_cache)
    origin.checkout(tmp_path / "out", record.commit, ["W1"])
    pulled = (tmp_path / "out" / FOLDER / "W1.parquet").read_bytes()
    assert hashlib.md5(pulled, usedforsecurity=False).hexdigest() == record.md5
    held = history(stores)
    assert b"W1.parquet" in held
    assert not [secret for secret in remote.secrets if secret.encode() in held]
    said = Places(stores, 60).remote()
    print(said)
    gone = "it stays there as" if remote.url.startswith("http") else "and is gone again"
    assert said.startswith("a probe was pushed and pulled")
    assert gone in said


def test_wrong_credentials_leave_nothing_and_name_the_variable(
    remote: Remote, stores: Settings, tmp_path: Path
) -> None:
    configure(tmp_path, remote.wrong)
    origin = Origin(stores)
    before = origin.head()
    with pytest.raises(StoreUnreachable, match="TRIMTAB_DVC_REMOTE_URL") as refused:
        origin.commit_batch(manifest(1), rows(1))
    print(refused.value)
    assert origin.head() == before
    assert list(stores.work.iterdir()) == []
    said = f"{refused.value}{refused.value.__cause__}".encode()
    assert not [secret for secret in remote.secrets if secret.encode() in said + history(stores)]
    configure(tmp_path, remote.right)
    assert origin.commit_batch(manifest(1), rows(1)).commit == origin.head()


def test_a_backup_and_gc_reach_what_was_pushed(remote: Remote, stores: Settings, tmp_path: Path) -> None:
    configure(tmp_path, remote.right)
    record = Origin(stores).commit_batch(manifest(1), rows(1))
    with dvc_objects.remote(stores) as held:
        assert held.has(record.md5) and not held.has("0" * 32)
        held.get(record.md5, tmp_path / "copy")
        assert held.read(record.md5) == (tmp_path / "copy").read_bytes()
        if remote.url.startswith("http"):
            with pytest.raises(Unfit, match="DVC cannot list objects of this kind of remote"):
                held.all()
            return
        assert held.all() == [record.md5]
        assert is_older(held.info(record.md5), time.time() + 3600)
        assert not is_older(held.info(record.md5), time.time() - 3600)
        held.remove(record.md5)
        assert held.all() == []


def test_a_password_in_the_url_is_used_and_stays_out_of_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "private"))
    folder = tmp_path / "server"
    folder.mkdir()
    with KINDS["http"](folder) as remote:
        password = remote.right["password"]
        stores = made(tmp_path, remote.url.replace("://", f"://trimtab:{password}@"))
        configure(tmp_path, {"method": "PUT"})
        origin = Origin(stores)
        record = origin.commit_batch(manifest(1), rows(1))
        shutil.rmtree(stores.dvc_cache)
        pulled = origin.fetch_batch("W1", md5=record.md5, commit=record.commit)
        assert list(pulled["row_id"]) == list(rows(1)["row_id"])
    assert remote.url.encode() in history(stores)
    assert password.encode() not in history(stores)


def test_a_server_that_never_answers_ends_within_the_limit_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "private"))
    with socket.create_server((HOST, 0)) as silent:
        stores = made(tmp_path, f"http://{HOST}:{silent.getsockname()[1]}/data")
        configure(tmp_path, {"method": "PUT", "connect_timeout": "1", "read_timeout": "1"})
        with pytest.raises(StoreUnreachable, match="TRIMTAB_DVC_REMOTE_URL") as refused:
            Origin(stores).commit_batch(manifest(1), rows(1))
    print(refused.value)
