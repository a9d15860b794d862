"""A year of one model, written through the real ledger: promotions, a rollback, drift, late labels, an open look."""

import hashlib
import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.builders import shipped
from trimtab.contracts import (
    BatchRef,
    BatchScore,
    Block,
    ColumnDrift,
    Comparison,
    ConceptDrift,
    DataDrift,
    Manifest,
    Plan,
    Quarantined,
    Training,
    Verdict,
    VerdictKind,
    champion_name,
    sha256,
)
from trimtab.ledger import (
    Answer,
    Batch,
    Judgement,
    Ledger,
    Observation,
    Order,
    QuarantineAction,
    Request,
    Run,
    RunEnd,
    Transition,
    TransitionEnd,
    TransitionKind,
    Version,
    Wait,
    batch_key,
)
from trimtab.params import Params

BEGIN = datetime(2024, 12, 30, 5, tzinfo=UTC)
WEEK = timedelta(weeks=1)
START = 8
"""Batches before the first training."""
WITHHELD = (38, 39, 40, 41)
"""Weeks whose labels come late; those of the first two have come since."""


class Year:
    """Writes week after week; `day` is its clock."""

    def __init__(self, ledger: Ledger, params: Params) -> None:
        self.ledger, self.params, self.model = ledger, params, params.model.name
        self.draw = random.Random(7)
        self.day = BEGIN
        self.ledger.now = lambda: self.day
        self.registered = 0
        self.runs = 0
        self.champion: str | None = None
        self.stale_from = 0

    def play(self, weeks: int = 52) -> None:
        """Write the year up to a week."""
        for week in range(weeks):
            self.ingest(week)
            if week + 1 == START:
                self.retrain(week, "ui", "the first model", "PROMOTE")
            if week >= START:
                self.measure(week)
            self.happen(week)

    def happen(self, week: int) -> None:
        """What the loop decided in a week."""
        outcomes: dict[int, VerdictKind] = {12: "PROMOTE", 17: "REJECT", 19: "PROMOTE", 25: "PROMOTE"}
        outcomes |= {30: "PROMOTE", 46: "PROMOTE"}
        if week in outcomes:
            self.retrain(week, "drift" if week % 2 else "age", _reason(week), outcomes[week])
        if week == 15:
            reason = "cooldown: 1 batch since the last retraining; tick force to go on"
            self.answer(week, self.ask(week, "ui", "impatience"), "SKIP", reason)
        if week == 33:
            self.roll_back(week)
        if week == 43:
            self.late_labels()
        if week == 50:
            self.retrain(week, "drift", _reason(week), "HOLD")
        if week == 51:
            self.leave_open(week)

    def ingest(self, week: int, revision: int = 1) -> BatchRef:
        rows = 6000 + int(600 * math.sin(week / 6)) + self.draw.randint(-200, 200)
        withheld = week in WITHHELD and revision == 1
        manifest = Manifest(
            model=self.model,
            batch=name(week),
            revision=revision,
            start=BEGIN + week * WEEK,
            end=BEGIN + (week + 1) * WEEK,
            partial=False,
            rows=rows,
            labelled=0 if withheld else int(rows * 0.97),
            bad_rows=self.draw.randint(0, 9),
            unseen={},
            source_sha256=f"{week}-{revision}",
        )
        if revision == 1:
            self.day = manifest.end + timedelta(hours=3)
        self.ledger.append(Batch(manifest=manifest, commit=digest(f"data {week}")[:40], md5="ab"))
        return BatchRef(batch=name(week), revision=revision)

    def measure(self, week: int, revision: int = 1) -> None:
        assert self.champion is not None
        self.day += timedelta(minutes=10)
        manifest = self.ledger.require(Batch, batch_key(name(week), revision)).manifest
        labelled, mean, sd = manifest.labelled, 0.46 + 0.05 * math.sin(week / 7), 0.011
        loss = mean + 0.006 * max(0, week - self.stale_from - 2) + self.draw.gauss(0, 0.006)
        width = 0.008 + self.draw.random() * 0.01
        score = BatchScore(
            batch=name(week),
            rows=manifest.rows,
            labelled=labelled,
            loss=loss if labelled else 0.0,
            auc=0.72 - 0.1 * (loss - 0.46) if labelled else None,
        )
        concept = ConceptDrift(
            score=score,
            reference_mean=mean,
            reference_sd=sd,
            sigmas=(loss - mean) / sd if labelled else None,
            abstained=None if labelled else "0 labelled rows, drift.concept.min_labels is 500",
            lower=loss - width if labelled else None,
            upper=loss + width if labelled else None,
        )
        self.ledger.append(
            Observation(
                batch=name(week),
                revision=revision,
                champion=self.champion,
                data=self.drift(week),
                concept=concept,
                champion_age_batches=week - self.stale_from,
                report_run_id=digest(f"report {week}")[:32],
                event_time=manifest.end,
            )
        )

    def drift(self, week: int) -> DataDrift:
        columns = []
        for place, feature in enumerate(self.params.data.features):
            season = 0.09 * (1 + math.sin(week / 5 + place)) * (place % 4 == 2)
            score = abs(self.draw.gauss(0.04, 0.02)) + season + (0.3 if place == 9 and 27 <= week < 31 else 0)
            columns.append(
                ColumnDrift(
                    column=feature,
                    statistic="Wasserstein distance (normed)",
                    score=score,
                    threshold=0.1,
                    drifted=score >= 0.1,
                )
            )
        share = sum(column.drifted for column in columns) / len(columns)
        return DataDrift(sampled=2000, share=share, columns=tuple(columns))

    def ask(self, week: int, source: str, reason: str) -> Request:
        self.day += timedelta(minutes=5)
        request = Request(
            source=source,  # type: ignore[arg-type]
            episode=f"{name(week)}:{source}:{reason[:20]}",
            reason=reason,
            event_time=end(week),
        )
        self.ledger.append(request)
        return request

    def answer(self, week: int, request: Request, action: str, reason: str, run: str | None = None) -> None:
        """Give the final answer to a request."""
        answer = Answer(
            request=request.key,
            action=action,  # type: ignore[arg-type]
            reason=reason,
            holder=f"run-{week}",
            event_time=end(week),
            run=run,
        )
        self.ledger.append(answer)

    def start_run(self, week: int, request: Request) -> Run:
        """Start a retraining for a request."""
        self.runs += 1
        run = Run(
            key=f"{self.model}-{self.runs}",
            request=request.key,
            action="RETRAIN",
            reason=f"{request.source}: {request.reason}",
            holder=f"run-{week}",
            plan=self.plan(week),
            event_time=end(week),
        )
        self.ledger.append(run)
        return run

    def end_run(self, week: int, run: Run, outcome: str, reason: str) -> None:
        """End a run."""
        self.ledger.append(
            RunEnd(
                key=run.key,
                request=run.request,
                outcome=outcome,  # type: ignore[arg-type]
                reason=reason,
                event_time=end(week),
            )
        )

    def retrain(self, week: int, source: str, reason: str, kind: VerdictKind) -> None:
        request, before = self.ask(week, source, reason), self.champion
        run = self.start_run(week, request)
        judged = self.register(run.key, week - 2, week)
        self.judge(week, run, judged, "OPEN")
        self.move(f"{run.key}:staging", "stage", judged, "Staging", "registered: under judgement", week)
        verdict = verdict_of(kind, run.plan, before, self.params.gate.metric)
        served = (
            self.register(f"{run.key}:refit", week, week, refit_of=judged) if kind == "PROMOTE" else judged
        )
        self.day += timedelta(minutes=4)
        self.judge(week, run, judged, kind, verdict)
        self.end_run(week, run, "concluded", verdict.reason)
        self.answer(week, request, "RETRAIN", run.reason, run=run.key)
        if kind == "PROMOTE":
            key, evidence = f"{run.key}:promote", sha256(verdict)
            self.serve(key, "promote", served, before, f"run-{week}", verdict.reason, week, evidence)
            self.move(f"{run.key}:sibling", "archive", judged, "Archived", f"version {served} serves", week)
        elif kind == "REJECT":
            self.move(f"{run.key}:reject", "archive", judged, "Archived", verdict.reason, week)

    def judge(self, week: int, run: Run, version: str, state: str, verdict: Verdict | None = None) -> None:
        """Write one state of a judgement."""
        judgement = Judgement(
            run_key=run.key,
            version=version,
            state=state,  # type: ignore[arg-type]
            reason=verdict.reason if verdict else "registered, not judged yet",
            event_time=end(week),
            verdict=verdict,
            evidence_sha256=sha256(verdict) if verdict else None,
        )
        self.ledger.append(judgement)

    def plan(self, week: int) -> Plan:
        champion = None
        if self.champion is not None:
            champion = self.ledger.require(Version, self.champion).model_version
        return Plan(
            model=self.model,
            commit=digest(f"commit {week}")[:40],
            cutoff=end(week),
            train=tuple(BatchRef(batch=name(each), revision=1) for each in range(max(0, week - 1))),
            judge=tuple(BatchRef(batch=name(each), revision=1) for each in (week - 1, week)),
            champion=champion,
        )

    def register(self, run_key: str, through: int, week: int, refit_of: str | None = None) -> str:
        self.registered += 1
        self.day += timedelta(minutes=2)
        refs = tuple(BatchRef(batch=name(each), revision=1) for each in range(max(1, through + 1)))
        training = Training(
            run_id=digest(f"run {self.registered}")[:32],
            source="models:/m-1",
            digest=digest(f"model {self.registered}"),
            rows=6000 * len(refs),
            batches=refs,
            trained_through=end(max(0, through)),
            reference_losses={},
            seconds=2.5,
        )
        number = str(self.registered)
        self.ledger.append(Version(version=number, run_key=run_key, training=training, refit_of=refit_of))
        return number

    def serve(
        self,
        key: str,
        kind: TransitionKind,
        version: str,
        replaces: str | None,
        actor: str,
        reason: str,
        week: int,
        evidence: str | None,
    ) -> None:
        self.move(key, kind, version, "Production", reason, week, replaces, actor, evidence)
        self.champion, self.stale_from = version, week

    def move(
        self,
        key: str,
        kind: TransitionKind,
        version: str,
        to: str,
        reason: str,
        week: int,
        replaces: str | None = None,
        actor: str = "run",
        evidence: str | None = None,
    ) -> None:
        self.day += timedelta(minutes=1)
        transition = Transition(
            key=key,
            kind=kind,
            version=version,
            to_stage=to,  # type: ignore[arg-type]
            replaces=replaces,
            actor=actor,
            reason=reason,
            evidence_sha256=evidence,
            event_time=end(week),
        )
        self.ledger.append(transition, TransitionEnd(key=key, outcome="done"))

    def roll_back(self, week: int) -> None:
        bad = self.champion
        assert bad is not None
        moves = self.ledger.all(Transition, to_stage="Production", version=bad)
        former = moves[-1].replaces
        assert former is not None
        reason = (
            f"version {bad} loses 0.0121 more per row than version {former} over 3 batches, at least 0.0043"
        )
        request = self.ask(week, "watch", reason)
        self.answer(week, request, "ROLLBACK", f"{reason}: back to version {former}")
        self.order(week, "rollback", former, "the watch rule", reason)
        self.order(week, "block", bad, "the watch rule", reason)
        text = f"ROLLBACK: {reason}"
        self.serve(f"watch:{week}:rollback", "rollback", former, bad, "the watch rule", text, week, None)
        self.stale_from = week - 4

    def order(self, week: int, verb: str, version: str | None, actor: str, reason: str) -> None:
        order = Order(
            verb=verb,  # type: ignore[arg-type]
            version=version,
            actor=actor,
            reason=reason,
            event_time=end(week),
        )
        self.ledger.append(order)

    def late_labels(self) -> None:
        for week in WITHHELD[:2]:
            self.ingest(week, revision=2)
            self.measure(week, revision=2)

    def leave_open(self, week: int) -> None:
        reason = f"version {self.champion} was promoted 5 batches ago, drift.max_age_batches is 4"
        pause = "the holidays are no time to move models"
        self.order(week, "pause", None, "eve", pause)
        request = self.ask(week, "age", reason)
        self.wait(week, request, f"paused by eve: {pause}")
        entry = Quarantined(
            name=f"{name(52)}-1",
            batch=name(52),
            kind="batch",
            reason="column temp: 0.31 of the rows lie outside [-40, 130], data.max_bad_share is 0.02",
            rows=6041,
            path="quarantine/2025-W53-1",
        )
        self.ledger.append(
            QuarantineAction(entry=entry, action="quarantined", actor="ingest", reason=entry.reason)
        )

    def wait(self, week: int, request: Request, reason: str) -> None:
        """Say why a request must wait."""
        self.ledger.append(
            Wait(request=request.key, reason=reason, holder=f"run-{week}", event_time=end(week))
        )


def name(week: int) -> str:
    """The batch of a week."""
    return f"2025-W{week + 1:02d}"


def digest(text: str) -> str:
    """A digest that looks like one."""
    return hashlib.sha256(text.encode()).hexdigest()


def end(week: int) -> datetime:
    """When a week ends."""
    return BEGIN + (week + 1) * WEEK


def _reason(week: int) -> str:
    return f"loss 0.5031 on batch {name(week)} is +3.4 sd from the 0.4657 of fresh models (alarm above 3)"


def verdict_of(kind: VerdictKind, plan: Plan, champion: str | None, metric: str) -> Verdict:
    """A verdict with plausible figures."""
    gain, lower = {"PROMOTE": (0.0081, 0.0012), "HOLD": (0.0012, -0.0062)}.get(kind, (-0.0031, -0.011))
    scores = tuple(
        BatchScore(batch=ref.batch, rows=6000, labelled=5800, loss=0.46, auc=0.71) for ref in plan.judge
    )
    more = "more" if gain < 0 else "less"
    return Verdict(
        kind=kind,
        reason=f"{kind}: the challenger loses {abs(gain):.4f} {more} per row than {champion_name(champion)}, at least {lower:+.4f}, over "
        "14 blocks of 24 h",
        look=plan.look,
        comparison=Comparison(
            metric=metric,
            rows=11600,
            blocks=14,
            champion_loss=0.4681,
            challenger_loss=0.46,
            gain=gain,
            lower=lower,
            upper=gain + 0.007,
            error=0.03,
        ),
        blocks=tuple(
            Block(batch=plan.judge[-1].batch, number=number, rows=828, champion=388.0, challenger=381.0)
            for number in range(7)
        ),
        checks=(),
        probes={"bad": "REJECT", "edge": "HOLD", "good": "PROMOTE"},
        judged_on=plan.judge,
        champion=champion,
        challenger_scores=scores,
        champion_scores=scores,
        cutoff=plan.cutoff,
    )


def written(folder: Path, weeks: int = 52) -> Ledger:
    """Return a ledger with the year up to a week, in a SQLite file of its own."""
    return played(folder, weeks).ledger


def played(folder: Path, weeks: int = 52) -> Year:
    """Return a year that was written up to a week, to which more can be added."""
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}", shipped().model.name)
    ledger.migrate()
    year = Year(ledger, shipped())
    year.play(weeks)
    return year
