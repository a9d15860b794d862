"""Put an ASK to a person: what Airflow's page shows, and what holds when nobody answers."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

from trimtab.contracts import Verdict, sha256
from trimtab.ledger.facts import Judgement
from trimtab.ledger.state import OPEN_STATES
from trimtab.loop.notify import notify
from trimtab.loop.retrain import Run, opened


def ask(run_key: str, holder: str) -> dict[str, Any] | None:
    """Return the question that the verdict asks, or None when it asks none.

    The judgement stands at ASK from now on, and the lease is given back: a person may take hours. Meanwhile other requests
    wait, but for a forced one, which supersedes the challenger.

    Returns:
        `subject`, `body` (Markdown), `minutes` until the `default` counts as the answer.
    """
    with opened(run_key, holder) as run:
        verdict, judged, before = run.verdict(), run.version_of(run.judged_key), run.judgement()
        if verdict.kind != "ASK" or judged is None or before is None or before.state not in OPEN_STATES:
            return None
        return _ask(run, verdict, judged.version, before)


def _ask(run: Run, verdict: Verdict, version: str, before: Judgement) -> dict[str, Any]:
    ledger, gate = run.loop.ledger, run.loop.params.gate
    if before.state != "ASK":
        asked = replace(
            before,
            state="ASK",
            reason=verdict.reason,
            verdict=verdict,
            evidence_sha256=sha256(verdict),
            key=uuid4().hex,
        )
        ledger.append(asked, lease=run.lease)
    subject = f"Promote version {version} of {run.loop.model} over {verdict.champion_name}?"
    text = f"{subject} {verdict.reason}. Answer on Airflow's page within {gate.ask_minutes:g} minutes"
    notify(run.loop, key=f"ask:{run.key}", kind="ask", text=text)
    ledger.leases.release(run.lease)
    return {
        "subject": subject,
        "body": _body(verdict, gate.ask_minutes, gate.ask_default),
        "minutes": gate.ask_minutes,
        "default": gate.ask_default,
    }


def _body(verdict: Verdict, minutes: float, default: str) -> str:
    checks = [
        f"| {check.name} | {'holds' if check.passed else 'FAILS'} | {check.sentence} |"
        for check in verdict.checks
    ]
    scores = [
        f"| {new.batch} | {new.labelled} | {new.loss:.4f} | {old.loss:.4f} |"
        for new, old in zip(verdict.challenger_scores, verdict.champion_scores, strict=True)
    ]
    return "\n".join(
        [
            verdict.reason,
            "",
            f"After {minutes:g} minutes without an answer: {default}. The page `evidence.html` is in the MLflow run of "
            "`evaluate`.",
            "",
            "| batch | labels | challenger | champion |",
            "|---|---|---|---|",
            *scores,
            "",
            "| check | | |",
            "|---|---|---|",
            *checks,
        ]
    )
