import os
import subprocess
import sys
from dataclasses import replace

import psutil

from trimtab.stack import session

LEADER = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], process_group=0)
print(child.pid, flush=True)
time.sleep(60)
"""


def _lead() -> tuple[subprocess.Popen[str], int]:
    """A session whose second process has left its leader's process group."""
    leader = subprocess.Popen(
        [sys.executable, "-c", LEADER], start_new_session=True, stdout=subprocess.PIPE, text=True
    )
    assert leader.stdout is not None
    return leader, int(leader.stdout.readline())


def _gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_members_are_found_in_every_process_group():
    leader, child = _lead()
    started = session.of(leader.pid)
    assert sorted(started.members()) == sorted([leader.pid, child])
    started.end()
    leader.wait()


def test_what_a_killed_leader_left_is_ended():
    leader, child = _lead()
    started = session.of(leader.pid)
    leader.kill()
    leader.wait()
    assert started.end() == [child]
    assert _gone(child)
    assert started.members() == []


def test_a_process_that_ignores_the_request_is_ended_by_force(monkeypatch):
    monkeypatch.setattr(session, "_END_SECONDS", 0.3)
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    leader = subprocess.Popen(
        [sys.executable, "-c", stubborn], start_new_session=True, stdout=subprocess.PIPE, text=True
    )
    assert leader.stdout is not None and leader.stdout.readline() == "up\n"
    session.of(leader.pid).end()
    assert leader.wait(timeout=1) == -9


def test_another_process_with_a_used_id_is_left_alone():
    mine = session.of(os.getpid())
    assert replace(mine, since=mine.since - 3600).members() == []
