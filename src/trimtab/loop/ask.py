"""Put an ASK to a person: what Airflow's page shows, and what holds when nobody answers."""

from typing import Any

from trimtab.contracts import Verdict, from_json
from trimtab.ledger.records import OPEN_STATES
from trimtab.loop.notify import notify
from trimtab.loop.retrain import open_run


def ask(run_key: str, holder: str) -> dict[str, Any] | None:
    """Return the question that the verdict asks, or None when it asks none.

    The judgement stands at ASK from now on, and the lease is given back: a person may take hours. Meanwhile other requests
    wait, but for a forced one, which supersedes the challenger.

    Returns:
        `subject`, `body` (Markdown), `minutes` until the `default` counts as the answer.
    """
    run = open_run(run_key, holder)
    ledger, model, gate = run.loop.ledger, run.plan.model, run.loop.params.gate
    verdict = from_json(Verdict, (run.folder / "build" / "verdict.json").read_bytes())
    judged = ledger.version_of(model, run.judged_key)
    before = ledger.judgement_of(model, run.judged_key)
    if verdict.kind != "ASK" or judged is None or before is None or before.state not in OPEN_STATES:
        return None
    if before.state != "ASK":
        ledger.record_judgement(
            model,
            run_key=run.judged_key,
            version=judged.version,
            state="ASK",
            reason=verdict.reason,
            event_time=run.plan.cutoff,
            verdict=verdict,
        )
    subject = f"Promote version {judged.version} of {model} over {verdict.champion}?"
    text = f"{subject} {verdict.reason}. Answer on Airflow's page within {gate.ask_minutes:g} minutes"
    notify(run.loop, key=f"ask:{run_key}", kind="ask", text=text)
    ledger.release(run.loop.lease, holder=holder)
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
        f"| {one.batch} | {one.labelled} | {one.loss:.4f} | {other.loss:.4f} |"
        for one, other in zip(verdict.challenger_scores, verdict.champion_scores, strict=True)
    ]
    return "\n".join(
        [
            verdict.reason,
            "",
            f"After {minutes:g} minutes without an answer: {default}. The page `evidence.html` lies in the MLflow run of "
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
