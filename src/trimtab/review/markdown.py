"""A verdict as GitHub's Markdown: the sentence, the table of metrics, the interval, the checks, the probes, the plot."""

import re
from dataclasses import dataclass

from trimtab.contracts import Check, Comparison, Verdict
from trimtab.evaluate.compare import UNBOUNDED
from trimtab.evaluate.weigh import Weighed

MARKER = "<!-- trimtab -->"
_STRANGE = re.compile(r"[^A-Za-z0-9 .,;:%()+=/'–-]", re.ASCII)
_LINK = re.compile(r"://|www\.", re.IGNORECASE)
_LONGEST_SENTENCE, _MOST_CHECKS, _MOST_POINTS = 300, 60, 60
_WIDTH = 48
_SIGNS = {"PROMOTE": "🟢", "HOLD": "🟡", "REJECT": "🔴", "ASK": "🔵"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where the figures come from: the commit that was trained, the page of its run, and judging files it changes."""

    commit: str
    run_url: str
    touched: tuple[str, ...] = ()


def comment(verdict: Verdict, again: Weighed, min_gain: float, origin: Origin) -> str:
    """Return the whole comment.

    Kind, sentence and interval are those of `again`, which our own gate made; of the verdict only names and figures are
    shown, letter by letter from an alphabet in which nothing is Markdown, a mention or a link.
    """
    parts = [
        MARKER,
        f"### {_SIGNS[again.kind]} {again.kind}: this pull request's model against {verdict.champion_name}",
        plain(again.reason.removeprefix(f"{again.kind}: ")) + ".",
        *_warnings(verdict, again, origin),
        _table(verdict, again.comparison),
        _interval(again.comparison, min_gain),
        _plot(verdict),
        _checks(verdict.checks),
        f"Probes of the gate: {', '.join(f'{plain(name)}: {kind}' for name, kind in sorted(verdict.probes.items()))}.",
        f"Trained at {origin.commit[:12]}; evidence.html, losses.csv and the plots are in the artifact of "
        f"[the run]({origin.run_url}). Nothing is promoted by a pull request: after the merge, the loop "
        f"trains and judges anew.",
    ]
    return "\n\n".join(parts) + "\n"


def failed(origin: Origin) -> str:
    """Return the comment on a run that came to no verdict."""
    return (
        f"{MARKER}\n\n### ⚪ No verdict on this pull request's model\n\nThe training or the judgement at "
        f"{origin.commit[:12]} failed: see [the run]({origin.run_url}).\n"
    )


def plain(text: str) -> str:
    r"""Return text of a stranger in which nothing means anything to GitHub; what could is a question mark.

    >>> plain("the loss is 0.4300 against 0.4400 (sklearn.dummy.DummyClassifier)")
    'the loss is 0.4300 against 0.4400 (sklearn.dummy.DummyClassifier)'
    >>> plain("@all see [this](https://x.y) and gate.min_gain")
    '?all see ?this?(https?x.y) and gate.min\\_gain'
    """
    short = text if len(text) <= _LONGEST_SENTENCE else text[: _LONGEST_SENTENCE - 3] + "..."
    words = short.split("_")  # inside words only: `gate.min_gain`
    return "\\_".join(_LINK.sub("?", _STRANGE.sub("?", word)) for word in words)


def _warnings(verdict: Verdict, again: Weighed, origin: Origin) -> list[str]:
    found = []
    if verdict.kind != again.kind:
        found.append(
            f"> The pull request's own gate says {verdict.kind}; shown is what the base branch's gate says."
        )
    if origin.touched:
        names = ", ".join(plain(name) for name in origin.touched[:10])
        found.append(f"> This pull request changes what measures or judges: {names}. Read that first.")
    return found


def _table(verdict: Verdict, total: Comparison) -> str:
    metric, champion = plain(total.metric), verdict.champion_name
    lines = [
        f"| batch | labelled rows | {metric}, {champion} | {metric}, challenger | AUC, {champion} | AUC, challenger |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    theirs = {one.batch: one for one in verdict.champion_scores}
    for ours in verdict.challenger_scores:
        other = theirs.get(ours.batch)
        figures = (other.loss if other else None, ours.loss, other.auc if other else None, ours.auc)
        lines.append(f"| {plain(ours.batch)} | {ours.labelled} | {' | '.join(map(_figure, figures))} |")
    lines.append(
        f"| **all, {total.blocks} blocks** | {total.rows} | {total.champion_loss:.4f} | "
        f"**{total.challenger_loss:.4f}** | | |"
    )
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _interval(total: Comparison, min_gain: float) -> str:
    if max(abs(total.lower), abs(total.upper)) >= UNBOUNDED:
        return f"Gain per row {total.gain:+.4f}; too few blocks for an interval."
    low, high = min(total.lower, min_gain, 0.0), max(total.upper, min_gain, 0.0)
    span = (high - low) or 1.0

    def place(value: float) -> int:
        return round((value - low) / span * _WIDTH)

    line = [" "] * (_WIDTH + 1)
    line[place(total.lower) : place(total.upper) + 1] = "─" * (place(total.upper) - place(total.lower) + 1)
    for value, sign in ((min_gain, "┊"), (total.lower, "├"), (total.upper, "┤"), (total.gain, "●")):
        line[place(value)] = sign
    drawn = "".join(line).rstrip()
    return (
        f"Gain per row {total.gain:+.4f}, interval {total.lower:+.4f} to {total.upper:+.4f} "
        f"(errs in {total.error:.1%}); ┊ is gate.min\\_gain, {min_gain:+.4f}.\n\n```text\n{drawn}\n```"
    )


def _plot(verdict: Verdict) -> str:
    blocks = verdict.blocks[-_MOST_POINTS:]
    lines = [[one.champion / one.rows for one in blocks], [one.challenger / one.rows for one in blocks]]
    ends = [value for line in lines for value in line]
    pad = (max(ends) - min(ends)) * 0.05 or 0.01
    drawn = "\n".join(f"  line [{', '.join(f'{value:.4f}' for value in line)}]" for line in lines)
    return (
        '```mermaid\n%%{init: {"themeVariables": {"xyChart": {"plotColorPalette": "#8c959f, #0969da"}}}}%%\nxychart-beta\n'
        f'  title "Loss by block of time: grey {verdict.champion_name}, blue the challenger"\n'
        f'  x-axis "block" 1 --> {max(2, len(blocks))}\n'
        f'  y-axis "loss per row" {min(ends) - pad:.4f} --> {max(ends) + pad:.4f}\n{drawn}\n```'
    )


def _checks(checks: tuple[Check, ...]) -> str:
    rows = [
        f"| {'held' if one.passed else '**failed**'} | {plain(one.name)} | {plain(one.sentence)} |"
        for one in checks
    ]
    more = [f"| | | and {len(rows) - _MOST_CHECKS} more |"] if len(rows) > _MOST_CHECKS else []
    return "\n".join(["| what else must hold | | |", "|---|---|---|", *rows[:_MOST_CHECKS], *more])
