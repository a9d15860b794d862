"""`make bench-ledger`: how long reads take on a ledger of 1,000 daily batches, nearly three years."""

import hashlib
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

from trimtab import params
from trimtab.contracts import (
    BatchRef,
    BatchScore,
    Block,
    Check,
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
    sha256,
)
from trimtab.ledger import (
    Answer,
    Batch,
    Fact,
    Judgement,
    Ledger,
    Observation,
    QuarantineAction,
    Request,
    Run,
    RunEnd,
    Snapshot,
    Transition,
    TransitionEnd,
    Version,
    Wait,
    kind_of,
    queries,
    state,
)
from trimtab.loop import arbitrate
from trimtab.views import health, history, prometheus, prometheus_loop
from trimtab.views.page import html

BATCHES = 1000
BEGIN = datetime(2023, 1, 1, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
REPEATS = 5
PARAMS = params.load(Path(params.FILE))
MODEL = PARAMS.model.name
LEASE = f"retrain:{MODEL}"


class Loop:
    """Writes the facts of a loop with one batch a day.

    Every tenth batch leads to a retraining, and every other retraining to a promotion.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.time = BEGIN
        self.ledger.now = lambda: self.time
        self.random = random.Random(1)
        self.champion: Version | None = None
        self.promoted = self.versions = self.runs = 0

    def play(self, batches: int) -> None:
        """Write all batches, and what follows from each of them."""
        for number in range(batches):
            self.time = end(number) + 3 * HOUR
            self.ledger.append(*self.ingested(number))
            self.time += 5 * MINUTE
            if number >= 10:
                self.retrain(number) if number % 10 == 0 else self.ledger.append(*self.skipped(number))

    def ingested(self, number: int) -> Iterator[Fact]:
        """A batch, its observation with the champion, and now and then some rows in quarantine."""
        manifest = Manifest(
            model=MODEL,
            batch=name(number),
            revision=1,
            start=end(number - 1),
            end=end(number),
            partial=False,
            rows=6000,
            labelled=5800,
            bad_rows=3,
            unseen={"carrier": 1},
            source_sha256=digest(name(number)),
        )
        yield Batch(manifest=manifest, commit=digest("commit")[:40], md5=digest(name(number))[:32])
        if self.champion is not None:
            yield self.observation(number, self.champion.version)
        if number % 20 == 7:
            reason = "column temp: 3 rows are out of range"
            entry = Quarantined(
                name=f"{name(number)}-1", batch=name(number), kind="rows", reason=reason, rows=3, path="q"
            )
            yield QuarantineAction(entry=entry, action="quarantined", actor="ingest", reason=reason)
            if number < BATCHES - 50:
                yield QuarantineAction(entry=entry, action="dropped", actor="eve", reason="known", number=2)

    def observation(self, number: int, champion: str) -> Observation:
        """What was measured on a batch."""
        columns = tuple(
            ColumnDrift(
                column=feature,
                statistic="Wasserstein distance (normed)",
                score=self.random.random() * 0.12,
                threshold=0.1,
                drifted=False,
            )
            for feature in PARAMS.data.features
        )
        return Observation(
            batch=name(number),
            revision=1,
            champion=champion,
            data=DataDrift(sampled=2000, share=0.1, columns=columns),
            concept=ConceptDrift(
                score=score(name(number)),
                reference_mean=0.46,
                reference_sd=0.011,
                sigmas=0.4,
                lower=0.45,
                upper=0.47,
            ),
            champion_age_batches=number - self.promoted,
            report_run_id=digest("report" + name(number))[:32],
            event_time=end(number),
        )

    def request(self, number: int, source: str) -> Request:
        """A request for a retraining."""
        return Request(
            source=source,  # type: ignore[arg-type]
            episode=f"{name(number)}:r1:v1",
            reason=f"loss 0.5031 on batch {name(number)} is +3.4 sd from the 0.4657 of fresh models (alarm above 3)",
            event_time=end(number),
        )

    def skipped(self, number: int) -> Iterator[Fact]:
        """A request that first waits, and then is answered with SKIP."""
        request = self.request(number, "drift")
        common = {"request": request.key, "holder": f"run-{number}", "event_time": end(number)}
        yield request
        yield Wait(
            reason="cooldown: 1 batch since the last retraining, trigger.cooldown_batches is 2", **common
        )
        yield Answer(action="SKIP", reason="the last retraining has seen all labels up to now", **common)

    def retrain(self, number: int) -> None:
        """A retraining that is promoted every other time."""
        request, before = self.request(number, "age"), self.champion
        plan = Plan(
            model=MODEL,
            commit=digest("commit")[:40],
            cutoff=end(number),
            train=refs(0, number - 1),
            judge=refs(number - 1, number + 1),
            champion=before.model_version if before else None,
        )
        self.runs += 1
        common = {"request": request.key, "event_time": end(number)}
        ending = {"key": f"{MODEL}-{self.runs}", **common}
        run = Run(action="RETRAIN", reason=request.reason, holder=f"run-{number}", plan=plan, **ending)
        self.ledger.append(request, run)
        self.time += 3 * MINUTE
        judged = self.version(run.key, number - 1, None)
        opened = Judgement(
            run_key=run.key, version=judged.version, state="OPEN", reason="registered", event_time=end(number)
        )
        self.ledger.append(judged, opened, *self.move(run, "stage", judged, "Staging", None))
        self.time += 3 * MINUTE
        verdict = verdict_of("PROMOTE" if number % 20 == 0 else "REJECT", plan)
        judgement = Judgement(
            run_key=run.key,
            version=judged.version,
            state=verdict.kind,
            reason=verdict.reason,
            event_time=end(number),
            verdict=verdict,
            evidence_sha256=sha256(verdict),
        )
        answer = Answer(action="RETRAIN", reason=run.reason, holder=run.holder, run=run.key, **common)
        concluded = RunEnd(outcome="concluded", reason=verdict.reason, **ending)
        self.ledger.append(judgement, concluded, answer)
        if verdict.kind == "PROMOTE":
            self.champion, self.promoted = (
                self.version(f"{run.key}:refit", number + 1, judged.version),
                number,
            )
            moves = self.move(run, "promote", self.champion, "Production", before)
            self.ledger.append(self.champion, *moves)
        self.ledger.append(*self.move(run, "archive", judged, "Archived", None))

    def version(self, run_key: str, batches: int, refit_of: str | None) -> Version:
        """A version that was trained on the first so many batches."""
        self.versions += 1
        training = Training(
            run_id=digest(f"run{self.versions}")[:32],
            source=f"models:/m-{self.versions}",
            digest=digest(f"model{self.versions}"),
            rows=6000 * batches,
            batches=refs(0, batches),
            trained_through=end(batches - 1),
            reference_losses={name(number): 0.46 for number in range(max(0, batches - 20), batches)},
            seconds=2.5,
        )
        return Version(version=str(self.versions), run_key=run_key, training=training, refit_of=refit_of)

    def move(self, run: Run, kind: str, version: Version, to: str, before: Version | None) -> Iterator[Fact]:
        """A completed transition."""
        transition = Transition(
            key=f"{run.key}:{kind}",
            kind=kind,  # type: ignore[arg-type]
            version=version.version,
            to_stage=to,  # type: ignore[arg-type]
            replaces=before.version if before else None,
            actor=run.holder,
            reason="the challenger loses 0.0081 less per row",
            evidence_sha256=digest(run.key),
            event_time=run.event_time,
        )
        yield transition
        yield TransitionEnd(key=transition.key, outcome="done")


def verdict_of(kind: VerdictKind, plan: Plan) -> Verdict:
    """A verdict with two weeks of blocks and eight checks."""
    scores, batch = tuple(score(ref.batch) for ref in plan.judge), plan.judge[-1].batch
    return Verdict(
        kind=kind,
        reason=f"{kind}: the challenger loses 0.0081 less per row",
        look=1,
        comparison=Comparison(
            metric="log_loss",
            rows=11_600,
            blocks=14,
            champion_loss=0.4681,
            challenger_loss=0.46,
            gain=0.0081,
            lower=0.0012,
            upper=0.0151,
            error=0.03,
        ),
        blocks=tuple(
            Block(batch=batch, number=number, rows=828, champion=388.0, challenger=381.0)
            for number in range(14)
        ),
        checks=tuple(
            Check(
                name=f"check {number}", passed=True, value=0.1, limit=0.2, sentence="the slice loses 0.1 more"
            )
            for number in range(8)
        ),
        probes={"bad": "REJECT", "edge": "HOLD", "good": "PROMOTE"},
        judged_on=plan.judge,
        champion=plan.champion.version if plan.champion else None,
        challenger_scores=scores,
        champion_scores=scores,
        cutoff=plan.cutoff,
    )


def score(batch: str) -> BatchScore:
    """A score of a batch."""
    return BatchScore(batch=batch, rows=6000, labelled=5800, loss=0.46, auc=0.71)


def refs(first: int, end: int) -> tuple[BatchRef, ...]:
    """Some batches in a row."""
    return tuple(BatchRef(batch=name(number), revision=1) for number in range(first, end))


def name(number: int) -> str:
    """The id of a batch."""
    return f"{BEGIN + number * DAY:%Y-%m-%d}"


def end(number: int) -> datetime:
    """The end of a batch."""
    return BEGIN + (number + 1) * DAY


def digest(text: str) -> str:
    """A SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()


def best(read: Callable[[], object]) -> tuple[float, float]:
    """Return the shortest processor time and the shortest time of some reads, in milliseconds, after a first one."""
    processor, wall = [], []
    read()
    for _ in range(REPEATS):
        begin = time.process_time(), time.perf_counter()
        read()
        processor.append(time.process_time() - begin[0])
        wall.append(time.perf_counter() - begin[1])
    return 1000 * min(processor), 1000 * min(wall)


def reads(ledger: Ledger) -> dict[str, Callable[[], object]]:
    """Return what is measured, by name."""

    def page() -> str:
        return html.page(health.read(ledger, PARAMS, 53), nonce="n", mlflow=None)

    manifests = [batch.manifest for batch in state.batches_in_force(ledger.all(Batch))]
    loop = SimpleNamespace(ledger=ledger, params=PARAMS, commit=digest("commit")[:40])

    def arbiters_read() -> object:
        facts = Snapshot(ledger)
        waiting = queries.waiting_requests(facts)
        return waiting, arbitrate.read_state(loop, facts, manifests, queries.champion(facts), "run")

    return {
        "the page's data (53 batches)": lambda: health.read(ledger, PARAMS, 53),
        "the page": page,
        "the metrics": lambda: prometheus.rendered(prometheus_loop.families(ledger, PARAMS, LEASE)),
        "history --last 20": lambda: history.read(ledger, 20),
        "history": lambda: history.read(ledger, None),
        "why VERSION": lambda: history.about(ledger, PARAMS, "100"),
        "the arbiter's read": arbiters_read,
        "the service's poll": lambda: ledger.last(TransitionEnd),
        "the same after a transition": lambda: queries.served(ledger),
    }


def main() -> None:
    """Write a ledger and print how long the reads take."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        ledger = Ledger(f"sqlite:///{path}", MODEL)
        ledger.migrate()
        Loop(ledger).play(BATCHES)
        kinds = (Batch, Observation, Request, Wait, Run, Version, Judgement, Transition)
        counts = ", ".join(f"{len(ledger.keys(kind)):,} {kind_of(kind)}" for kind in kinds)
        print(f"SQLite, {path.stat().st_size / 1e6:.0f} MB: {counts}")
        print(f"{'read':<32}{'processor':>12}{'time':>12}")
        for name, read in reads(ledger).items():
            processor, wall = best(read)
            print(f"{name:<32}{processor:>9.0f} ms{wall:>9.0f} ms")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
