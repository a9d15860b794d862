"""The session of processes that a supervisor leads, to end the processes that a killed supervisor left behind."""

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
    """A session, identified by its leader. `since`, the Unix time of the leader's start, shows whether its id was reused.

    Airflow's tasks leave their process group, but no process of the stack leaves the session.
    """

    leader: int
    since: float

    def members(self) -> list[int]:
        """Return the ids of its running processes."""
        with contextlib.suppress(psutil.NoSuchProcess):  # the session outlives a killed leader
            if abs(psutil.Process(self.leader).create_time() - self.since) > 1:
                return []
        return [process.pid for process in psutil.process_iter() if self._holds(process.pid)]

    def end(self) -> list[int]:
        """End all processes, with SIGTERM and then with SIGKILL, and return their ids."""
        members = left = self.members()
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            deadline = time.monotonic() + _END_SECONDS
            while left and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
                left = self.members()
        return members

    def _holds(self, pid: int) -> bool:
        try:
            return os.getsid(pid) == self.leader and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except (ProcessLookupError, PermissionError, psutil.Error):
            return False


def of(pid: int) -> Session:
    """Return the session that a process leads."""
    return Session(leader=pid, since=psutil.Process(pid).create_time())
