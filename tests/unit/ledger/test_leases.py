"""Leases on a real SQLite file."""

import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.support.ledger import MONDAY, request
from trimtab.clock import system_clock
from trimtab.errors import LeaseHeld, LeaseLost
from trimtab.ledger import Ledger, Request


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = MONDAY

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Ledger:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", "demand", clock)
    ledger.migrate()
    return ledger


def test_a_lease_keeps_others_out_until_it_expires(ledger, clock):
    ledger.leases.take("retrain", holder="a", minutes=30)
    with pytest.raises(LeaseHeld, match="held by 'a'"):
        ledger.leases.take("retrain", holder="b", minutes=30)
    clock.time += timedelta(minutes=31)
    assert ledger.leases.current("retrain") is None
    assert ledger.leases.take("retrain", holder="b", minutes=30).epoch == 2


def test_a_renewed_lease_goes_on(ledger, clock):
    lease = ledger.leases.take("retrain", holder="a", minutes=30)
    clock.time += timedelta(minutes=20)
    ledger.leases.renew(lease)
    clock.time += timedelta(minutes=20)
    current = ledger.leases.current("retrain")
    assert (current.holder, current.epoch, current.acquired_at) == ("a", 1, MONDAY)
    assert current.heartbeat_at == MONDAY + timedelta(minutes=20)


def test_only_the_holder_gives_a_lease_back(ledger, clock):
    first = ledger.leases.take("retrain", holder="a", minutes=30)
    clock.time += timedelta(minutes=31)
    second = ledger.leases.take("retrain", holder="b", minutes=30)
    ledger.leases.release(first)
    assert ledger.leases.current("retrain").holder == "b"
    ledger.leases.release(second)
    assert ledger.leases.current("retrain") is None
    assert ledger.leases.take("retrain", holder="c", minutes=30).epoch == 3


def test_a_run_that_lost_its_lease_cannot_write(ledger, clock):
    lost = ledger.leases.take("retrain", holder="a", minutes=30)
    clock.time += timedelta(minutes=31)
    ledger.leases.take("retrain", holder="b", minutes=30)
    for write in (
        lambda: ledger.append(request("W01"), lease=lost),
        lambda: ledger.leases.renew(lost),
        lambda: ledger.leases.check(lost),
    ):
        with pytest.raises(
            LeaseLost, match="expired and was taken over .it is now held by b.*Nothing was written"
        ):
            write()
    assert ledger.all(Request) == []


def test_a_lease_that_nobody_took_over_still_counts_after_it_expired(ledger, clock):
    lease = ledger.leases.take("retrain", holder="a", minutes=30)
    clock.time += timedelta(minutes=31)
    assert ledger.append(request("W01"), lease=lease)


def test_a_holder_that_comes_back_after_another_has_a_new_epoch(ledger, clock):
    paused = ledger.leases.take("retrain", holder="a", minutes=30)
    clock.time += timedelta(minutes=31)
    ledger.leases.release(ledger.leases.take("retrain", holder="b", minutes=30))
    ledger.leases.take("retrain", holder="a", minutes=30)
    with pytest.raises(LeaseLost):
        ledger.append(request("W01"), lease=paused)


def test_a_clock_that_was_set_back_does_not_keep_a_lease_for_ever(ledger, clock):
    ledger.leases.take("retrain", holder="before", minutes=30)
    clock.time -= timedelta(days=400)
    assert ledger.leases.current("retrain") is None
    assert ledger.leases.take("retrain", holder="after", minutes=30).holder == "after"


def test_a_lease_is_renewed_before_it_expires_while_its_holder_works(ledger):
    ledger.now = system_clock
    leases = ledger.leases
    lease = leases.take("retrain", holder="a", minutes=0.05)
    with leases.kept_alive(lease):
        while (renewed := leases.current("retrain")) and renewed.heartbeat_at == lease.heartbeat_at:
            time.sleep(0.01)
    assert renewed is not None, "it has expired"


def test_a_lease_that_is_held_is_given_back_whatever_happens(ledger):
    with pytest.raises(ZeroDivisionError):
        with ledger.leases.held("maintenance", holder="a", minutes=30) as lease:
            assert ledger.leases.current("maintenance").holder == lease.holder == "a"
            with pytest.raises(LeaseHeld, match="held by 'a'"):
                ledger.leases.take("maintenance", holder="b", minutes=30)
            raise ZeroDivisionError
    assert ledger.leases.current("maintenance") is None
    assert ledger.leases.take("maintenance", holder="b", minutes=30).epoch == 2
