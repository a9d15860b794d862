"""What the demo prints while it plays: one line per week, and its current step if the output is a terminal."""

import sys
import textwrap
import time
from collections.abc import Sequence
from typing import TextIO

from examples.flights.records import Decision, Demo, Line, Observed, Week

HEADER = (
    f"{'week':<9}{'served':>7}{'AUC':>7}{'loss':>7}{'concept':>9}{'data':>6}{'model':>7}{'sec':>5}  decision"
)
_PHASES = ("traffic", "ingest", "monitor", "retrain", "reload")
_WIDTH = 110
_STARTS = ("RETRAIN", "JUDGE", "ROLLBACK")
"""Decisions that start something; those that wait or skip are shown only when nothing starts."""


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
    score, seen = week.served.score, week.observed
    data = "-" if seen is None else f"{seen.data_share:.2f}{'!' if seen.data_drift else ''}"
    auc = "-" if score.auc is None else f"{score.auc:.3f}"
    return (
        f"{week.batch:<9}{week.served.rows:>7}{auc:>7}{score.loss:>7.4f}{_concept(seen):>9}{data:>6}"
        f"{'v' + week.served.version:>7}{sum(week.seconds.values()):>5.0f}  {decision(week)}"
    )


def _concept(seen: Observed | None) -> str:
    if seen is None or seen.sigmas is None:
        return "-" if seen is None or seen.abstained is None else "abstains"
    return f"{seen.sigmas:+.1f}s{'!' if seen.concept_drift else ''}"


def late_line(batch: str, seen: Observed) -> str:
    """Return the line of a batch that was measured again because its labels came late."""
    drift = f"abstains: {seen.abstained}" if seen.sigmas is None else _concept(seen)
    return f"{batch:<9} its labels came late, measured again at revision 2: concept drift {drift}"


def decision(week: Week) -> str:
    """Return in a few words what was decided in a week."""
    if week.note is not None:
        return textwrap.shorten(week.note, 60, placeholder=" ...")
    started = [_in_words(each) for each in week.decisions if each.action in _STARTS]
    others = [_in_words(each) for each in week.decisions if each.action not in _STARTS]
    more = f" (+{len(others) - 1})" if len(others) > 1 else ""
    return "; ".join(started) or (f"{others[-1]}{more}" if others else "no requests")


def _in_words(decision: Decision) -> str:
    if decision.action not in ("RETRAIN", "JUDGE"):
        return f"{decision.action} ({textwrap.shorten(decision.reason, 50, placeholder=' ...')})"
    outcome = f" -> {decision.outcome}" if decision.outcome else ""
    version = f" v{decision.version}" if decision.version else ""
    gain = f", gain {decision.comparison.gain:+.4f}" if decision.comparison else ""
    return f"{decision.action} ({decision.source}){outcome}{version}{gain}"


def scorecard_table(lines: Sequence[Line]) -> str:
    """Return the four policies as a table."""
    rows = [f"{'policy':<38}{'mean AUC':>10}{'mean log loss':>15}{'retrainings':>13}{'promotions':>12}"]
    for line in lines:
        auc, loss = ("-" if mean is None else f"{mean:.4f}" for mean in (line.mean_auc, line.mean_loss))
        rows.append(f"{line.policy:<38}{auc:>10}{loss:>15}{line.retrainings:>13}{line.promotions:>12}")
    return "\n".join(rows)


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
