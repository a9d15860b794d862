"""The origin on real git and DVC: two stores in folders, as the embedded defaults have them."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from trimtab.contracts import Manifest
from trimtab.errors import OriginConflict, StoreUnreachable, Unfit
from trimtab.ledger import Batch
from trimtab.origin import creation
from trimtab.origin.origin import Origin
from trimtab.settings import Settings

ROOT = Path(__file__).parents[2]
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


def run(*command: str, cwd: Path) -> str:
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout


def stores_below(home: Path, **places: str) -> Settings:
    stores = {"origin": home / "origin.git", "dvc_remote": home / "dvc-remote", "landing": home / "landing"}
    return Settings(home=home, **({name: str(path) for name, path in stores.items()} | places))


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working tree with a committed file, an edited one, a new one, a tracked one that is ignored, and litter."""
    tree = tmp_path_factory.mktemp("tree")
    shutil.copy(ROOT / "params.yaml", tree)
    (tree / "notes.txt").write_text("as committed")
    (tree / ".gitignore").write_text("/var/\n*.log\n")
    (tree / "kept.log").write_text("tracked all the same")
    run("git", "init", "-q", "-b", "trunk", cwd=tree)
    run("git", "add", "-f", ".", cwd=tree)
    run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "Begin", cwd=tree)
    (tree / "notes.txt").write_text("as edited")
    (tree / "new.txt").write_text("not added")
    (tree / "litter.log").write_text("ignored")
    return tree


@pytest.fixture(scope="session")
def made(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("made") / "var"
    creation.create(tree, stores_below(home))
    return home


@pytest.fixture
def stores(made: Path, tmp_path: Path) -> Settings:
    """An origin without batches; a copy of the one that was made once."""
    shutil.copytree(made, tmp_path / "var")
    return stores_below(tmp_path / "var")


@pytest.fixture
def origin(stores: Settings) -> Origin:
    return Origin(stores)


def manifest(week: int, *, revision: int = 1, source: str = "ab") -> Manifest:
    return Manifest(
        model="demand",
        batch=f"W{week}",
        revision=revision,
        start=MONDAY + timedelta(days=7 * week),
        end=MONDAY + timedelta(days=7 * (week + 1)),
        partial=False,
        rows=3,
        labelled=2,
        bad_rows=0,
        unseen={"region": 1},
        source_sha256=source,
    )


def rows(week: int, value: float = 1.0) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "row_id": [f"{week}-{row}" for row in range(3)],
            "event_time": pd.date_range(MONDAY + timedelta(days=7 * week), periods=3, freq="D"),
            "wind": [value, 2.0, 3.0],
            "label": pd.Series([0, 1, None], dtype="Int64"),
        }
    )


def fetched(origin: Origin, record: Batch) -> pd.DataFrame:
    return origin.fetch_batch(record.manifest.batch, md5=record.md5, commit=record.commit)


def revisions(origin: Origin) -> list[tuple[str, int]]:
    return [(manifest.batch, manifest.revision) for manifest in origin.manifests(origin.head())]


def test_the_origin_starts_from_the_tree_as_it_is(origin: Origin, stores: Settings) -> None:
    commit = origin.head()
    assert origin.show("notes.txt", commit) == "as edited"
    assert set(run("git", "ls-tree", "-r", "--name-only", "main", cwd=Path(stores.origin)).split()) == {
        ".dvc/.gitignore",
        ".dvc/config",
        ".dvcignore",
        ".gitignore",
        "data/batches/.gitignore",
        "kept.log",
        "new.txt",
        "notes.txt",
        "params.yaml",
    }
    assert (
        run("git", "log", "--format=%an <%ae>", "main", cwd=Path(stores.origin))
        == "trimtab <trimtab@localhost>\n"
    )
    assert origin.params(commit).model.name == "flight-delay"
    assert origin.manifests(commit) == []


def test_the_tree_is_not_changed(tree: Path, made: Path) -> None:
    assert creation.exists(stores_below(made))
    assert run("git", "status", "--short", cwd=tree) == " M notes.txt\n?? new.txt\n"
    assert not (tree / ".dvc").exists()


def test_an_origin_is_not_overwritten(tree: Path, stores: Settings, origin: Origin) -> None:
    before = origin.head()
    with pytest.raises(
        Unfit, match="There is an origin at .*origin.git already. Move it away to start again"
    ):
        creation.create(tree, stores)
    assert origin.head() == before


def test_a_folder_that_is_not_a_checkout_is_refused(tmp_path: Path) -> None:
    stores = stores_below(tmp_path / "var")
    with pytest.raises(Unfit, match="is not a git checkout. Clone trimtab, or run `git init` there"):
        creation.create(tmp_path, stores)
    assert not creation.exists(stores)


def test_a_batch_is_read_back_unchanged(origin: Origin, stores: Settings) -> None:
    record = origin.commit_batch(manifest(0), rows(0))
    assert record.manifest == manifest(0)
    assert record.commit == origin.head()
    pd.testing.assert_frame_equal(fetched(origin, record), rows(0))
    assert origin.manifests(record.commit) == [manifest(0)]
    assert list(stores.work.iterdir()) == []


def test_the_same_file_twice_is_one_revision(origin: Origin) -> None:
    first = origin.commit_batch(manifest(0), rows(0))
    assert origin.commit_batch(manifest(0, revision=2), rows(0)) == first
    assert origin.head() == first.commit


def test_a_correction_is_a_revision_and_the_old_one_can_still_be_read(origin: Origin) -> None:
    first = origin.commit_batch(manifest(0), rows(0))
    second = origin.commit_batch(manifest(0, revision=2, source="cd"), rows(0, value=9.0))
    assert revisions(origin) == [("W0", 2)]
    assert fetched(origin, first)["wind"].iloc[0] == 1.0
    assert fetched(origin, second)["wind"].iloc[0] == 9.0


def test_a_revision_with_the_same_rows_has_a_commit_of_its_own(origin: Origin) -> None:
    first = origin.commit_batch(manifest(0), rows(0))
    second = origin.commit_batch(manifest(0, revision=2, source="cd"), rows(0))
    assert second.md5 == first.md5
    assert origin.manifests(second.commit) == [manifest(0, revision=2, source="cd")]


def test_a_revision_that_does_not_follow_is_refused(origin: Origin) -> None:
    head = origin.head()
    with pytest.raises(OriginConflict):
        origin.commit_batch(manifest(0, revision=2), rows(0))
    assert origin.head() == head


def commit(home: Path, week: int, gate: str) -> None:
    while not Path(gate).exists():
        time.sleep(0.01)
    Origin(stores_below(home)).commit_batch(manifest(week), rows(week))


def started(stores: Settings, weeks: Sequence[int], gate: Path) -> list[multiprocessing.process.BaseProcess]:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=commit, args=(stores.home, week, str(gate))) for week in weeks]
    for process in processes:
        process.start()
    return list(processes)


def test_three_processes_at_once_all_commit_their_batch(
    origin: Origin, stores: Settings, tmp_path: Path
) -> None:
    processes = started(stores, [0, 1, 2], tmp_path / "gate")
    (tmp_path / "gate").touch()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert revisions(origin) == [("W0", 1), ("W1", 1), ("W2", 1)]


def push_first(stores: Settings, rival: Path, path: str) -> None:
    """Let another clone push a file between this one's clone and its push: the origin itself lets it in first."""
    run("git", "clone", "-q", stores.origin, str(rival), cwd=stores.home)
    (rival / path).write_text("theirs")
    run("git", "add", ".", cwd=rival)
    run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "Theirs", cwd=rival)
    hook = Path(stores.origin) / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        f"#!/bin/sh\nrm {hook}\nenv -u GIT_QUARANTINE_PATH -u GIT_DIR -u GIT_OBJECT_DIRECTORY "
        f"-u GIT_ALTERNATE_OBJECT_DIRECTORIES git -C {rival} push -q origin HEAD:main\n"
    )
    hook.chmod(0o755)


def test_a_push_that_came_second_is_retried(origin: Origin, stores: Settings, tmp_path: Path) -> None:
    push_first(stores, tmp_path / "rival", "theirs.txt")
    origin.commit_batch(manifest(0), rows(0))
    assert revisions(origin) == [("W0", 1)]
    assert origin.show("theirs.txt", origin.head()) == "theirs"


def test_another_revision_of_the_batch_that_came_first_stays(
    origin: Origin, stores: Settings, tmp_path: Path
) -> None:
    push_first(stores, tmp_path / "rival", "data/batches/W0.json")
    with pytest.raises(OriginConflict, match="nothing was written, the task can be retried"):
        origin.commit_batch(manifest(0), rows(0))
    assert origin.show("data/batches/W0.json", origin.head()) == "theirs"


@pytest.mark.parametrize("seconds", [0.15, 0.6, 1.2, 1.8, 2.4])
def test_no_kill_leaves_a_batch_half_written(
    origin: Origin, stores: Settings, tmp_path: Path, seconds: float
) -> None:
    (tmp_path / "gate").touch()
    (process,) = started(stores, [0], tmp_path / "gate")
    time.sleep(seconds)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(10)
    for listed in origin.manifests(origin.head()):
        assert listed == manifest(0)
    record = origin.commit_batch(manifest(0), rows(0))
    shutil.rmtree(stores.dvc_cache)
    pd.testing.assert_frame_equal(fetched(origin, record), rows(0))


def test_locks_of_a_killed_git_are_removed(origin: Origin, stores: Settings) -> None:
    record = origin.commit_batch(manifest(0), rows(0))
    for name in ("packed-refs.lock", "refs/heads/main.lock"):
        (stores.home / "mirror.git" / name).touch()
    assert origin.head() == record.commit


def test_a_checkout_has_the_named_batches_only(origin: Origin, stores: Settings) -> None:
    origin.commit_batch(manifest(0), rows(0))
    second = origin.commit_batch(manifest(1), rows(1))
    dest = stores.work / "run-1"
    for _ in range(2):
        origin.checkout(dest, second.commit, ["W1"])
        assert sorted(path.name for path in (dest / "data/batches").glob("*.parquet")) == ["W1.parquet"]
        assert (dest / "notes.txt").read_text() == "as edited"
        (dest / "notes.txt").write_text("changed by the run")
    origin.checkout(dest, second.commit, [])
    assert list((dest / "data/batches").glob("*.parquet")) == []
    assert run("git", "status", "--short", cwd=dest) == ""


def test_a_batch_can_be_read_after_the_loss_of_cache_and_mirror(origin: Origin, stores: Settings) -> None:
    record = origin.commit_batch(manifest(0), rows(0))
    shutil.rmtree(stores.dvc_cache)
    shutil.rmtree(stores.home / "mirror.git")
    pd.testing.assert_frame_equal(fetched(origin, record), rows(0))


def test_a_corrupt_file_in_the_cache_is_fetched_again(origin: Origin, stores: Settings) -> None:
    record = origin.commit_batch(manifest(0), rows(0))
    cached = stores.dvc_cache / "files" / "md5" / record.md5[:2] / record.md5[2:]
    cached.chmod(0o644)
    cached.write_bytes(b"rotten")
    cached.chmod(0o444)  # what DVC takes for a sign that nobody wrote to it
    origin.checkout(stores.work / "run", record.commit, ["W0"])
    checked_out = pd.read_parquet(stores.work / "run" / "data/batches/W0.parquet")
    for frame in (checked_out, fetched(origin, record)):
        pd.testing.assert_frame_equal(frame, rows(0))


def test_a_checkout_links_what_the_cache_holds(origin: Origin, stores: Settings) -> None:
    record = origin.commit_batch(manifest(0), rows(0))
    shutil.rmtree(stores.dvc_remote)
    origin.checkout(stores.work / "run", record.commit, ["W0"])
    cached = stores.dvc_cache / "files" / "md5" / record.md5[:2] / record.md5[2:]
    assert (stores.work / "run" / "data/batches/W0.parquet").samefile(cached)


def test_a_file_that_the_remote_lost_is_an_error(origin: Origin, stores: Settings) -> None:
    record = origin.commit_batch(manifest(0), rows(0))
    shutil.rmtree(stores.dvc_cache)
    shutil.rmtree(stores.dvc_remote)
    with pytest.raises(StoreUnreachable, match="The DVC remote at .*dvc-remote does not answer"):
        fetched(origin, record)


def test_an_origin_that_does_not_answer_says_what_to_check(stores: Settings) -> None:
    shutil.rmtree(stores.origin)
    with pytest.raises(StoreUnreachable) as error:
        Origin(stores).commit_batch(manifest(0), rows(0))
    assert str(error.value) == (
        f"The origin at {stores.origin} does not answer (fatal: '{stores.origin}' does not appear to be a git "
        "repository). Check that it runs and that TRIMTAB_ORIGIN_URL names it; nothing was written, the task can be "
        "retried."
    )


def test_the_error_for_an_unreachable_server_has_no_password(stores: Settings) -> None:
    elsewhere = stores.model_copy(update={"origin": "http://someone:secret@127.0.0.1:9/origin.git"})
    for attempt in (Origin(elsewhere).head, lambda: creation.exists(elsewhere)):
        with pytest.raises(StoreUnreachable) as error:
            attempt()
        assert "The origin at http://127.0.0.1:9/origin.git does not answer (fatal: unable to access" in str(
            error.value
        )
        assert "secret" not in f"{error.value} {error.value.__cause__}"


def test_a_checkout_keeps_passwords_from_others(stores: Settings) -> None:
    Origin(stores).head()
    dest = stores.work / "run"
    secret = {
        "origin": "http://me:hunter2@127.0.0.1:9/o.git",
        "dvc_remote": "http://me:hunter2@127.0.0.1:9/data",
    }
    Origin(stores.model_copy(update=secret)).checkout(dest, Origin(stores).head(), [])
    holding = [path for path in dest.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
    assert holding == [dest / ".dvc" / "config.local"]
    assert [oct(path.stat().st_mode & 0o777) for path in (dest, *holding)] == ["0o700", "0o600"]
    assert run("git", "remote", "get-url", "origin", cwd=dest) == "http://127.0.0.1:9/o.git\n"


def test_an_empty_origin_says_how_to_create_it(stores: Settings) -> None:
    shutil.rmtree(stores.origin)
    run("git", "init", "-q", "--bare", stores.origin, cwd=stores.home)
    assert not creation.exists(stores)
    with pytest.raises(Unfit, match="has no branch main. Create it with `trimtab init`"):
        Origin(stores).head()


def test_a_dvc_remote_that_does_not_answer_leaves_the_origin_as_it_was(
    origin: Origin, stores: Settings
) -> None:
    head = origin.head()
    Path(stores.dvc_remote).write_text("a file where a folder should be")
    with pytest.raises(StoreUnreachable, match="The DVC remote at .*TRIMTAB_DVC_REMOTE_URL"):
        origin.commit_batch(manifest(0), rows(0))
    assert origin.head() == head
    Path(stores.dvc_remote).unlink()
    assert origin.commit_batch(manifest(0), rows(0)).commit == origin.head()


def test_the_environment_of_a_git_hook_has_no_effect(
    origin: Origin, stores: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.setenv(name, str(stores.home / "elsewhere"))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "somebody")
    monkeypatch.setenv("HOME", str(stores.home / "no-identity"))
    record = origin.commit_batch(manifest(0), rows(0))
    monkeypatch.undo()
    author = run("git", "log", "-1", "--format=%an %ae", record.commit, cwd=Path(stores.origin))
    assert author == "trimtab trimtab@localhost\n"
