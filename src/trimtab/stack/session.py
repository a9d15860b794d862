"""The session of processes that a supervisor leads, for ending what a killed one left behind."""

import contextlib
import os
import signal
import time
from dataclasses import dataclass

import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own

_END_SECONDS = 5.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session by its leader; `since` (Unix time of the leader's start) tells a reused process id apart.

    A process may leave its process group, and Airflow's tasks do; none of the stack's leaves the session.
    """

    leader: int
    since: float

    def members(self) -> list[int]:
        """Return the ids of the processes that live in it."""
        try:
            if abs(psutil.Process(self.leader).create_time() - self.since) > 1:
                return []
        except psutil.NoSuchProcess:
            pass  # A killed leader leaves its session behind.
        return [process.pid for process in psutil.process_iter() if self._holds(process.pid)]

    def end(self) -> list[int]:
        """End every member, first by request, then by force; return what had to be ended."""
        found = left = self.members()
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            deadline = time.monotonic() + _END_SECONDS
            while left and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
                left = self.members()
        return found

    def _holds(self, pid: int) -> bool:
        try:
            return os.getsid(pid) == self.leader and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except (ProcessLookupError, PermissionError, psutil.Error):
            return False


def of(pid: int) -> Session:
    """Return the session that a process leads."""
    return Session(leader=pid, since=psutil.Process(pid).create_time())
