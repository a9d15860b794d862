"""The comment as GitHub's Markdown: the result, the table by batch, the interval, the plot, the checks."""

import re
from collections.abc import Iterator, Sequence

from trimtab.contracts import Check, Comparison
from trimtab.evaluate.compare import UNBOUNDED
from trimtab.evaluate.record import blocks, model, scores_of, shadow
from trimtab.review.artifact import Artifact
from trimtab.review.github import Pull
from trimtab.review.result import Result

MARKER = "<!-- trimtab -->"
_UNSAFE = re.compile(r"[^A-Za-z0-9 .,;:%()+=/'–-]", re.ASCII)
_LINK = re.compile(r"://|www\.", re.IGNORECASE)
_LONGEST_SENTENCE, _MAX_CHECKS, _MAX_POINTS, _MAX_ERRORS = 300, 60, 60, 5
_WIDTH = 48
_HEADLINES = {
    "BETTER": "🟢 This pull request's model is better than {rival} beyond doubt",
    "OPEN": "🟡 This pull request's model is neither better nor worse than {rival} beyond doubt",
    "WORSE": "🔴 This pull request's model is worse than {rival} beyond doubt",
    "FAILED": "🔴 This pull request's model fails a check against {rival}",
    "WAIT": "⚪ WAIT: there is too little evidence to compare this pull request's model with {rival}",
}


def comment(artifact: Artifact, result: Result, pull: Pull, touched: Sequence[str]) -> str:
    """Return the whole comment; `touched` are the files that the pull request changes and that measure or judge.

    The base branch's code decided on the result. What the pull request's code wrote is shown as names and figures only, in
    characters that GitHub takes for neither Markdown nor a mention nor a link.
    """
    parts = [
        MARKER,
        f"### {_HEADLINES[result.kind].format(rival=artifact.rival_name)}",
        _sentence(artifact, result),
        *_warnings(artifact, touched),
        _table(artifact, result),
        *_drawings(artifact, result),
        *_checks(result.checks),
        f"Fitted at commit {pull.commit[:12]}; losses.csv and the plots are in the artifact of [the run]({pull.run_url}). "
        f"The best candidate of train.windows is shown. A model is scored only on batches after those that it was trained "
        f"on. A pull request deploys nothing: after the merge, the loop fits these candidates on each new batch, and "
        f"decides on its own evidence.",
    ]
    return "\n\n".join(parts) + "\n"


def failed(pull: Pull) -> str:
    """Return the comment on a run that measured nothing."""
    return (
        f"{MARKER}\n\n### ⚪ This pull request's model was not measured\n\nThe run at {pull.commit[:12]} failed: see "
        f"[the run]({pull.run_url}).\n"
    )


def plain(text: str) -> str:
    r"""Return untrusted text without characters that mean something to GitHub; each becomes a question mark.

    >>> plain("the loss is 0.4300 against 0.4400 (sklearn.dummy.DummyClassifier)")
    'the loss is 0.4300 against 0.4400 (sklearn.dummy.DummyClassifier)'
    >>> plain("@all see [this](https://x.y) and gate.min_blocks")
    '?all see ?this?(https?x.y) and gate.min\\_blocks'
    """
    short = text if len(text) <= _LONGEST_SENTENCE else text[: _LONGEST_SENTENCE - 3] + "..."
    words = short.split("_")  # inside words only: `gate.min_blocks`
    return "\\_".join(_LINK.sub("?", _UNSAFE.sub("?", word)) for word in words)


def _sentence(artifact: Artifact, result: Result) -> str:
    compared, rival = result.comparison, artifact.rival_name
    parts = [f"{plain(result.reason[:1].upper() + result.reason[1:])}."] if result.reason else []
    if compared.blocks:
        word = "less" if compared.gain >= 0 else "more"
        parts.append(
            f"Candidate `{result.candidate}` loses {abs(compared.gain):.4f} {plain(compared.metric)} {word} per row than "
            f"{rival} ({compared.challenger_loss:.4f} against {compared.champion_loss:.4f}), over {compared.blocks} blocks "
            f"of time in {compared.batches} batches."
        )
    return " ".join(parts)


def _warnings(artifact: Artifact, touched: Sequence[str]) -> Iterator[str]:
    if artifact.failed:
        more = (
            f" And {len(artifact.failed) - _MAX_ERRORS} more." if len(artifact.failed) > _MAX_ERRORS else ""
        )
        yield f"> Errors: {'; '.join(map(plain, artifact.failed[:_MAX_ERRORS]))}.{more}"
    if touched:
        names = ", ".join(map(plain, touched[:10]))
        yield f"> This pull request changes files that measure or judge: {names}. Read these first."


def _table(artifact: Artifact, result: Result) -> str:
    metric, rival, total = plain(result.comparison.metric), artifact.rival_name, result.comparison
    picks = model(artifact.rival), shadow(result.candidate)
    ours, theirs = (scores_of(artifact.record, pick) for pick in picks)
    lines = [
        f"| batch | rows | {metric}, {rival} | {metric}, candidate | AUC, {rival} | AUC, candidate |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for batch in (scored.batch for scored in artifact.record):
        both = ours.get(batch), theirs.get(batch)
        rows = next((score.rows for score in both if score), "–")
        values = *(score and score.loss for score in both), *(score and score.auc for score in both)
        figures = " | ".join("–" if value is None else f"{value:.4f}" for value in values)
        lines.append(f"| {plain(batch)} | {rows} | {figures} |")
    if total.rows:
        lines.append(
            f"| **compared, {total.blocks} blocks** | {total.rows} | {total.champion_loss:.4f} | "
            f"**{total.challenger_loss:.4f}** | | |"
        )
    return "\n".join(lines)


def _drawings(artifact: Artifact, result: Result) -> Iterator[str]:
    if max(abs(result.comparison.lower), abs(result.comparison.upper)) < UNBOUNDED:
        yield _interval(result.comparison)
        yield _plot(artifact, result)


def _interval(total: Comparison) -> str:
    low, high = min(total.lower, 0.0), max(total.upper, 0.0)
    span = (high - low) or 1.0

    def place(value: float) -> int:
        return round((value - low) / span * _WIDTH)

    line = [" "] * (_WIDTH + 1)
    line[place(total.lower) : place(total.upper) + 1] = "─" * (place(total.upper) - place(total.lower) + 1)
    for value, sign in ((0.0, "┊"), (total.lower, "├"), (total.upper, "┤"), (total.gain, "●")):
        line[place(value)] = sign
    drawn = "".join(line).rstrip()
    return (
        f"Gain per row {total.gain:+.4f}, bounds {total.lower:+.4f} and {total.upper:+.4f} (error {total.error:.1%} "
        f"each); ┊ is no difference.\n\n```text\n{drawn}\n```"
    )


def _plot(artifact: Artifact, result: Result) -> str:
    shown = blocks(artifact.record, model(artifact.rival), shadow(result.candidate))[-_MAX_POINTS:]
    lines = [
        [block.champion / block.rows for block in shown],
        [block.challenger / block.rows for block in shown],
    ]
    ends = [value for line in lines for value in line]
    pad = (max(ends) - min(ends)) * 0.05 or 0.01
    drawn = "\n".join(f"  line [{', '.join(f'{value:.4f}' for value in line)}]" for line in lines)
    return (
        '```mermaid\n%%{init: {"themeVariables": {"xyChart": {"plotColorPalette": "#8c959f, #0969da"}}}}%%\nxychart-beta\n'
        f'  title "Loss in the newest {len(shown)} blocks of time: grey {artifact.rival_name}, blue the candidate"\n'
        f'  x-axis "block" 1 --> {max(2, len(shown))}\n'
        f'  y-axis "loss per row" {min(ends) - pad:.4f} --> {max(ends) + pad:.4f}\n{drawn}\n```'
    )


def _checks(checks: Sequence[Check]) -> Iterator[str]:
    rows = [
        f"| {'passed' if check.passed else '**failed**'} | {plain(check.name)} | {plain(check.sentence)} |"
        for check in sorted(checks, key=lambda check: check.passed)[:_MAX_CHECKS]
    ]
    more = [f"| | | and {len(checks) - _MAX_CHECKS} more |"] if len(checks) > _MAX_CHECKS else []
    if rows:
        yield "\n".join(["| other checks | | |", "|---|---|---|", *rows, *more])
