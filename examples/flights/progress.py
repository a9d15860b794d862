"""What the demo prints while it plays: one line per week, and its current step if the output is a terminal."""

import sys
import textwrap
import time
from typing import TextIO

from examples.flights.records import SCHEDULE, Decision, Demo, Line, Measured, Week

HEADER = (
    f"{'week':<9}{'served':>7}{'AUC':>7}{'loss':>8}{'fresh':>8}{'regret':>8}{'model':>7}{'sec':>5}  decision"
)
_PHASES = ("traffic", "ingest", "measure", "act", "reload")
_WIDTH = 110


class Progress:
    """Writes lines; on a terminal the last line shows the current step."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._erase = "\r\x1b[K" if self._out.isatty() else ""
        self._since = time.monotonic()

    def say(self, text: str) -> None:
        """Write a line that stays."""
        print(f"{self._erase}{text}", file=self._out, flush=True)

    def doing(self, text: str) -> None:
        """Show the current step; nothing if the output is not a terminal."""
        if self._erase:
            minutes, seconds = divmod(int(time.monotonic() - self._since), 60)
            step = textwrap.shorten(f"{minutes:02d}:{seconds:02d}  {text}", _WIDTH)
            print(f"{self._erase}{step}", end="", file=self._out, flush=True)


def week_line(week: Week) -> str:
    """Return one week as one line, under `HEADER`."""
    return (
        f"{week.batch:<9}{week.served.rows:>7}{_figures(week.measured)}{'v' + week.served.version:>7}"
        f"{sum(week.seconds.values()):>5.0f}  {decision(week)}"
    )


def late_line(week: Week) -> str:
    """Return the line of a week that was measured late, because its labels came late."""
    return f"{week.batch:<9}{'labels':>7}{_figures(week.measured)}{'':>12}  {decision(week)}"


def _figures(measured: Measured | None) -> str:
    if measured is None:
        return f"{'–':>7}{'–':>8}{'–':>8}{'–':>8}"
    loss, fresh = number(measured.loss), number(measured.fresh)
    return f"{number(measured.auc, '.3f'):>7}{loss:>8}{fresh:>8}{measured.regret:>+8.1%}"


def decision(week: Week) -> str:
    """Return what was decided in a week: what moved a version to Production, else the newest answer."""
    if week.note is not None:
        return textwrap.shorten(week.note, 60, placeholder=" ...")
    moves = [in_words(each) for each in week.decisions if each.moves]
    return "; ".join(moves or [in_words(each) for each in week.decisions[-1:]]) or "no request"


def in_words(decision: Decision) -> str:
    """Return a decision with its source and its sentence."""
    version = f" v{decision.version}" if decision.version else ""
    return f"{decision.action}{version} ({decision.source}): {decision.reason}"


def scorecard_table(demo: Demo) -> str:
    """Return the policies as a table, and the number of models that were fitted."""
    lines = [
        f"{'policy':<38}{'mean loss':>10}{'mean AUC':>10}{'deployments':>13}{'loss above the schedule':>26}",
        *(
            f"{line.row.policy:<38}{number(line.row.loss):>10}{number(line.row.auc):>10}{line.row.deployments:>13}"
            f"{difference(line):>26}"
            for line in demo.scorecard
        ),
    ]
    return "\n".join([*lines, "", f"The loop fitted {demo.fits} models."])


def difference(line: Line) -> str:
    """Return how much more a policy loses than the schedule, with the standard error; a dash for the schedule."""
    row = line.row
    return "–" if row.policy == SCHEDULE else f"{row.difference:+.4f} ± {row.error:.4f}"


def number(value: float | None, spec: str = ".4f") -> str:
    """Return a number as text, a dash for None."""
    return "–" if value is None else format(value, spec)


def timing(demo: Demo) -> str:
    """Return how long the demo took, by phase and by Airflow task."""
    rows = [f"{'phase':<38}{'total s':>10}{'mean s':>10}{'max s':>10}"]
    for phase in _PHASES:
        if taken := [week.seconds[phase] for week in demo.played if week.seconds.get(phase)]:
            rows.append(f"{phase:<38}{sum(taken):>10.0f}{sum(taken) / len(taken):>10.1f}{max(taken):>10.1f}")
    rows.append(f"{'task':<38}{'total s':>10}{'mean s':>10}{'max s':>10}{'runs':>7}")
    for task in sorted(demo.tasks, key=lambda task: -task.total_seconds):
        name = f"{task.dag}.{task.task}"
        rows.append(
            f"{name:<38}{task.total_seconds:>10.0f}{task.mean_seconds:>10.1f}{task.max_seconds:>10.1f}{task.runs:>7}"
        )
    return "\n".join(rows)
