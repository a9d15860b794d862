"""A verdict as GitHub's Markdown: the sentence, the table of metrics, the interval, the checks, the probes, the plot."""

import re
from collections.abc import Iterator, Sequence

from trimtab.contracts import Check, Comparison, Verdict
from trimtab.evaluate.compare import UNBOUNDED
from trimtab.evaluate.gate import Weighed
from trimtab.review.github import Pull

MARKER = "<!-- trimtab -->"
_UNSAFE = re.compile(r"[^A-Za-z0-9 .,;:%()+=/'–-]", re.ASCII)
_LINK = re.compile(r"://|www\.", re.IGNORECASE)
_LONGEST_SENTENCE, _MOST_CHECKS, _MOST_POINTS = 300, 60, 60
_WIDTH = 48
_SIGNS = {"PROMOTE": "🟢", "HOLD": "🟡", "REJECT": "🔴", "ASK": "🔵"}


def comment(verdict: Verdict, judged: Weighed, min_gain: float, pull: Pull, touched: Sequence[str]) -> str:
    """Return the whole comment; `touched` are the files that the pull request changes and that measure or judge.

    Kind, sentence and interval are those of `judged`, which the base branch's gate made. From the pull request's own verdict
    only names and figures are shown, in characters that GitHub takes for neither Markdown nor a mention nor a link.
    """
    parts = [
        MARKER,
        f"### {_SIGNS[judged.kind]} {judged.kind}: this pull request's model against {verdict.champion_name}",
        plain(judged.reason.removeprefix(f"{judged.kind}: ")) + ".",
        *_warnings(verdict, judged, touched),
        _table(verdict, judged.comparison),
        _interval(judged.comparison, min_gain),
        _plot(verdict),
        _checks(verdict.checks),
        f"Probes of the gate: {', '.join(f'{plain(name)}: {kind}' for name, kind in sorted(verdict.probes.items()))}.",
        f"Trained at {pull.commit[:12]}; evidence.html, losses.csv and the plots are in the artifact of "
        f"[the run]({pull.run_url}). A pull request does not promote a model: after the merge, the loop "
        f"trains and judges again.",
    ]
    return "\n\n".join(parts) + "\n"


def failed(pull: Pull) -> str:
    """Return the comment on a run without a verdict."""
    return (
        f"{MARKER}\n\n### ⚪ No verdict on this pull request's model\n\nThe training or the judgement at "
        f"{pull.commit[:12]} failed: see [the run]({pull.run_url}).\n"
    )


def plain(text: str) -> str:
    r"""Return untrusted text without characters that mean something to GitHub; each becomes a question mark.

    >>> plain("the loss is 0.4300 against 0.4400 (sklearn.dummy.DummyClassifier)")
    'the loss is 0.4300 against 0.4400 (sklearn.dummy.DummyClassifier)'
    >>> plain("@all see [this](https://x.y) and gate.min_gain")
    '?all see ?this?(https?x.y) and gate.min\\_gain'
    """
    short = text if len(text) <= _LONGEST_SENTENCE else text[: _LONGEST_SENTENCE - 3] + "..."
    words = short.split("_")  # inside words only: `gate.min_gain`
    return "\\_".join(_LINK.sub("?", _UNSAFE.sub("?", word)) for word in words)


def _warnings(verdict: Verdict, judged: Weighed, touched: Sequence[str]) -> Iterator[str]:
    if verdict.kind != judged.kind:
        yield f"> The pull request's own gate says {verdict.kind}; this comment shows what the base branch's gate says."
    if touched:
        names = ", ".join(map(plain, touched[:10]))
        yield f"> This pull request changes files that measure or judge: {names}. Read these first."


def _table(verdict: Verdict, total: Comparison) -> str:
    metric, champion = plain(total.metric), verdict.champion_name
    lines = [
        f"| batch | labelled rows | {metric}, {champion} | {metric}, challenger | AUC, {champion} | AUC, challenger |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    scores = {score.batch: (score.loss, score.auc) for score in verdict.champion_scores}
    for new in verdict.challenger_scores:
        loss, auc = scores.get(new.batch, (None, None))
        figures = " | ".join(
            "–" if value is None else f"{value:.4f}" for value in (loss, new.loss, auc, new.auc)
        )
        lines.append(f"| {plain(new.batch)} | {new.labelled} | {figures} |")
    lines.append(
        f"| **all, {total.blocks} blocks** | {total.rows} | {total.champion_loss:.4f} | "
        f"**{total.challenger_loss:.4f}** | | |"
    )
    return "\n".join(lines)


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
        f"(error {total.error:.1%}); ┊ is gate.min\\_gain, {min_gain:+.4f}.\n\n```text\n{drawn}\n```"
    )


def _plot(verdict: Verdict) -> str:
    blocks = verdict.blocks[-_MOST_POINTS:]
    lines = [
        [block.champion / block.rows for block in blocks],
        [block.challenger / block.rows for block in blocks],
    ]
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
        f"| {'passed' if check.passed else '**failed**'} | {plain(check.name)} | {plain(check.sentence)} |"
        for check in checks
    ]
    more = [f"| | | and {len(rows) - _MOST_CHECKS} more |"] if len(rows) > _MOST_CHECKS else []
    return "\n".join(["| other checks | | |", "|---|---|---|", *rows[:_MOST_CHECKS], *more])
