"""Waiting records are on disk, in order, within bounds, and belong to one process."""

import errno
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.predictions import outcome, prediction
from trimtab.errors import SpoolRefused
from trimtab.predictions.segment import Segment
from trimtab.predictions.spool import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Callable[..., Spool]]:
    spools = []

    def make(*, most_bytes: float = 1e6, batch: int = 3, queue: int = 5) -> Spool:
        spools.append(Spool(tmp_path, most_bytes=most_bytes, batch=batch, queue=queue))
        return spools[-1]

    yield make
    for spool in spools:
        spool.close()


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


def drained(spool: Spool) -> list[str]:
    """Take all that waits, as the writer does."""
    ids = []
    while (segment := spool.oldest(seconds=0)) is not None:
        ids += [record.prediction_id for record in segment.load()[0]]
        spool.drop(segment)
    return ids


def test_records_come_out_in_the_order_in_which_they_went_in(spool, tmp_path):
    ours = spool()
    for number in range(10):
        ours.append([prediction(f"p{number}")])
    assert [path.read_bytes().count(b"\n") for path in files(tmp_path)] == [3, 3, 3, 1]
    assert drained(ours) == [f"p{number}" for number in range(10)]
    assert files(tmp_path) == []
    assert ours.sizes() == (0, 0, 0)


def test_beyond_the_queue_records_wait_on_the_disk_only(spool):
    ours = spool()
    for number in range(10):
        ours.append([prediction(f"p{number}")])
    queued, spooled, size = ours.sizes()
    assert (queued, spooled) == (4, 6)
    assert size > 10 * 200
    assert set(ours.find({f"p{number}" for number in range(12)})) == {f"p{number}" for number in range(10)}
    assert drained(ours) == [f"p{number}" for number in range(10)]


def test_of_two_that_wait_with_one_id_the_first_is_found(spool):
    ours = spool(batch=1)
    ours.append([prediction("p", answer=0.1)])
    ours.append([prediction("p", answer=0.2)])
    assert ours.find(["p"])["p"].answer == 0.1


def test_outcomes_are_known_to_wait_until_they_are_written(spool):
    ours = spool()
    assert not ours.has_truths()
    ours.append([outcome()])
    assert ours.has_truths()
    ours.drop(ours.oldest(seconds=0))
    assert not ours.has_truths()


def test_what_does_not_fit_is_refused_as_a_whole_and_the_rest_is_taken(spool, tmp_path):
    ours = spool(most_bytes=600)
    with pytest.raises(SpoolRefused, match=r"takes no more \(0.0 of 0.0006 MB \(predictions.spool_mb\) wait"):
        ours.append([prediction(f"p{number}") for number in range(4)])
    assert files(tmp_path) == []
    ours.append([prediction("p")])
    assert drained(ours) == ["p"]


def test_what_the_disk_does_not_take_is_refused_and_leaves_no_torn_line(spool, tmp_path):
    """The limit on a file's size stands in for a full disk: the write ends in the middle."""
    ours = spool(batch=100)
    ours.append([prediction("before")])
    size = files(tmp_path)[0].stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, limits[1]))
    try:
        with pytest.raises(SpoolRefused, match=os.strerror(errno.EFBIG)):
            ours.append([prediction("lost")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert files(tmp_path)[0].stat().st_size == size
    ours.append([prediction("after")])
    assert drained(ours) == ["before", "after"]


def test_the_next_process_takes_over_what_was_left_oldest_first(spool, tmp_path):
    for name in ("a", "b"):
        left = spool()
        left.append([prediction(f"{name}{number}") for number in range(4)])
        left.append([prediction(f"{name}4")])
        left.close()
    ours = spool()
    ours.append([prediction("c")])
    assert ours.sizes()[:2] == (1, 10)
    assert set(ours.find(["a0", "b4", "c"])) == {"a0", "b4", "c"}
    assert drained(ours) == [
        *(f"a{number}" for number in range(5)),
        *(f"b{number}" for number in range(5)),
        "c",
    ]


def test_what_a_living_process_has_is_left_alone(spool):
    theirs = spool()
    theirs.append([prediction("theirs")])
    assert drained(spool()) == []
    assert drained(theirs) == ["theirs"]


def test_a_killed_process_leaves_all_it_took_and_its_torn_last_line_is_cut(spool, tmp_path):
    code = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from tests.support.predictions import prediction\n"
        "from trimtab.predictions.spool import Spool\n"
        f"spool = Spool(Path({str(tmp_path)!r}), most_bytes=1e6, batch=100, queue=100)\n"
        "spool.append([prediction('p1'), prediction('p2')])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3])
    assert ended.returncode == -9
    (left,) = files(tmp_path)
    with left.open("ab") as file:
        file.write(b'{"prediction_id": "torn')
    assert drained(spool()) == ["p1", "p2"]


def test_a_line_that_is_no_record_is_told_apart(tmp_path):
    path = tmp_path / "segment"
    path.write_bytes(b"broken\n")
    segment = Segment.take_over(path)
    assert segment.load() == ([], [b"broken"])
    assert (segment.count, segment.size) == (1, 7)


def test_it_takes_no_more_when_it_is_closed(spool):
    ours = spool()
    ours.close()
    with pytest.raises(SpoolRefused, match="the service stops"):
        ours.append([prediction("p")])


def test_eight_threads_lose_nothing_while_one_takes(spool):
    ours = spool(batch=7, queue=20)

    def put(client: int) -> None:
        for number in range(50):
            ours.append([prediction(f"{client}-{number}")])

    threads = [threading.Thread(target=put, args=(client,)) for client in range(8)]
    for thread in threads:
        thread.start()
    ids = []
    while any(thread.is_alive() for thread in threads):
        ids += drained(ours)
    ids += drained(ours)
    assert sorted(ids) == sorted(f"{client}-{number}" for client in range(8) for number in range(50))
