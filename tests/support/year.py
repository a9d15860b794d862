"""A year of one model, written through the real ledger; the losses are invented, the real policy decides on them.

There are deployments by regret and by age, fresh models that the guard stops, a rollback, late labels, a run that failed, a
fit that failed, and in the last week a question to a person, a pause and a batch in quarantine.
"""

import hashlib
import math
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.builders import shipped
from trimtab.contracts import (
    BatchRef,
    BlockLoss,
    ColumnDrift,
    DataDrift,
    Examined,
    Manifest,
    OrderVerb,
    Quarantined,
    Score,
    Stage,
    Training,
    sha256,
)
from trimtab.data.recipes import recipe_of
from trimtab.evaluate.record import BASELINE, candidates_of, recipe_number
from trimtab.ledger import (
    Answer,
    Batch,
    Ledger,
    Measurement,
    Observation,
    Order,
    QuarantineAction,
    Question,
    RecipeEntry,
    Request,
    Run,
    RunEnd,
    Shadow,
    Transition,
    TransitionEnd,
    TransitionKind,
    Version,
    Wait,
    batch_key,
)
from trimtab.loop.orders import WATCH_RULE, facts_of_rollback
from trimtab.params import Params
from trimtab.trigger.planning import BACKFILLED
from trimtab.trigger.policy import PolicyDecision, decide
from trimtab.trigger.recipes import new_entry
from trimtab.trigger.standing import leader_after, standing

BEGIN = datetime(2024, 12, 30, 5, tzinfo=UTC)
WEEK = timedelta(weeks=1)
START = 8
"""Labelled batches before the first deployment, `train.start_batches`."""
FIRST = START - 3
"""The first week that is measured: the first models are fitted through it."""
WITHHELD = (38, 39, 40, 41)
"""Weeks whose labels come late; those of the first two have come since."""
WORSE = range(17, 22)
"""Weeks in which fresh models are a little worse than those before, so that the guard stops them."""
DRIFT = range(27, 32)
"""Weeks in which a feature drifts and models age fast. In the first of them a short window becomes better week by week."""
BROKEN = 30
"""The first deployment in this week or later brings a model that loses much more than before."""
DRY_RUN, FAILED_FIT, NOT_SCORED, LATE_LABELS, LAST = 14, 36, 37, 43, 51
"""Weeks in which these things happen. In the last one a fit fails too."""
FAILED_RUN = 2
"""Number of the run that fails, and is followed by another one."""
_BLOCKS = 7


class Year:
    """Writes week after week; `day` is its clock."""

    def __init__(self, ledger: Ledger, params: Params) -> None:
        self.ledger, self.params, self.model = ledger, params, params.model.name
        self.draw = random.Random(7)
        self.day = BEGIN
        self.ledger.now = lambda: self.day
        self.fits: dict[str, tuple[str, int]] = {}
        self.versions: dict[str, Version] = {}
        self.runs = 0
        self.champion: str | None = None
        self.former: str | None = None
        self.staged: str | None = None
        self.deployed = 0
        self.broken: str | None = None
        self.open: dict[str, Request] = {}
        self.gain = 0.0

    def play(self, weeks: int = 52, begin: int = 0) -> None:
        """Write the year up to a week."""
        for week in range(begin, weeks):
            self.ingest(week)
            if self.champion is not None:
                self.observe(week, self.champion)
            if week >= FIRST and week not in WITHHELD:
                self.measure(week)
                self.assess(week)
            if week == DRY_RUN:
                self.dry_run(week)
            if week == LATE_LABELS:
                self.late_labels()
            if week == LAST:
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
        """Write the scores of the models, and fit the candidates if this is the newest week."""
        self.day += timedelta(minutes=10)
        manifest = self.ledger.require(Batch, batch_key(name(week), revision)).manifest
        shadows = self.shadows(week)
        champion, former = (
            self.run_of(version) if version else None for version in (self.champion, self.former)
        )
        models = [BASELINE, champion, *shadows.values()] if shadows else []
        if self.deployed < self.params.watch.batches:
            models.append(former)
        failed = {shadows["newest 8"]: "ValueError: the predictions hold 3 NaN"} if week == NOT_SCORED else {}
        scores = {
            model: self.score(model, week, manifest.labelled)
            for model in models
            if model is not None and model not in failed
        }
        measurement = Measurement(
            batch=name(week),
            revision=revision,
            scores=scores,
            champion=champion,
            shadows=shadows,
            leader="",
            failed=failed,
            event_time=manifest.end,
        )
        fitted = self.fit(week) if revision == 1 else []
        self.deployed += revision == 1
        leader = leader_after(self.ledger, measurement, self.params)
        self.ledger.append(*fitted, replace(measurement, leader=leader))

    def enter(self, week: int, params: Params, gain: float) -> None:
        """Let the recipe of other parameters enter after a week.

        Its models lose `gain` less per row than those of the first recipe. They are fitted after the fact on the newest
        batches.
        """
        self.gain = gain
        for parameters in (self.params, params):
            self.params, now = parameters, standing(self.ledger, parameters)
            if now.present is None:
                commit = digest("commit")[:40]
                self.ledger.append(new_entry(now.recipes, recipe_of(parameters), commit, end(week)))
        names = candidates_of(len(self.ledger.all(RecipeEntry)), params)
        for each in range(week - BACKFILLED, week + 1):
            shadows = {name: run for name, run in self.shadows(each).items() if name in names}
            if shadows:
                measured = self.ledger.require(Measurement, batch_key(name(each), 1))
                rows = self.ledger.require(Batch, measured.key).manifest.labelled
                scores = {model: self.score(model, each, rows) for model in shadows.values()}
                self.ledger.append(replace(measured, scores=scores, shadows=shadows, decision="entry"))
            self.ledger.append(*(self.fitted(each, candidate) for candidate in names))

    def shadows(self, week: int) -> dict[str, str]:
        """The newest model of each candidate that was fitted before a week, by its MLflow run."""
        earlier = [(through, candidate, run) for run, (candidate, through) in self.fits.items()]
        return {candidate: run for through, candidate, run in sorted(earlier) if through < week}

    def fit(self, week: int) -> list[Shadow]:
        """Fit each candidate through a week."""
        shadows: list[Shadow] = []
        racing = standing(self.ledger, self.params).racing_candidates(self.params)
        for candidate, window in racing.items():
            if (week, candidate) in ((FAILED_FIT, "newest 8"), (LAST, "all")):
                shadows.append(self.failed_fit(week, candidate))
            else:
                shadows.append(self.fitted(week, candidate, window))
        return shadows

    def fitted(self, week: int, candidate: str, window: int | None = None) -> Shadow:
        """A model that a candidate fitted through a week."""
        first = 0 if window is None else max(0, week + 1 - window)
        refs = tuple(BatchRef(batch=name(each), revision=1) for each in range(first, week + 1))
        training = Training(
            run_id=digest(f"run {candidate} {week}")[:32],
            source=f"models:/m-{candidate.replace(' ', '-')}-{week}",
            digest=digest(f"model {candidate} {week}"),
            rows=6000 * len(refs),
            batches=refs,
            trained_through=end(week),
            seconds=2.5,
        )
        self.fits[training.run_id] = candidate, week
        return Shadow(
            candidate=candidate,
            batch=name(week),
            revision=1,
            training=training,
            examined=Examined(
                milliseconds_per_row=0.004, megabytes=0.3, distance=0.03 if week > FIRST else None
            ),
            event_time=end(week),
        )

    def failed_fit(self, week: int, candidate: str) -> Shadow:
        """A fit that ended with an error."""
        return Shadow(
            candidate=candidate,
            batch=name(week),
            revision=1,
            training=None,
            error="MemoryError: Unable to allocate 3.1 GiB for an array",
            event_time=end(week),
        )

    def score(self, model: str, week: int, rows: int) -> Score:
        """The score of a model on the labelled rows of a week, in equal blocks."""
        common, own = random.Random(f"week {week}"), random.Random(f"{model} {week}")
        mean, size = self.loss(model, week), rows // _BLOCKS
        means = [mean + common.gauss(0, 0.012) + own.gauss(0, 0.001) for _ in range(_BLOCKS)]
        return Score(
            metric=self.params.gate.metric,
            blocks=tuple(
                BlockLoss(number=number, rows=size, loss=each * size) for number, each in enumerate(means)
            ),
            slices={},
            calibration=(),
            invalid=0,
            auc=0.5 if model == BASELINE else 0.72 - (mean - 0.46),
        )

    def loss(self, model: str, week: int) -> float:
        """The expected loss of a model in a week: of the season, of its age, and of its window."""
        season = 0.46 + 0.05 * math.sin(week / 7)
        if model == BASELINE:
            return season + 0.09
        candidate, through = self.fits[model]
        aged = sum(0.0045 if each in DRIFT else 0.0004 for each in range(through + 1, week))
        drifted = min(max(week - DRIFT.start, 0), 3)
        short = 0.0 if candidate.startswith("all") else 0.003 * (1 - drifted)
        worse = 0.004 if through in WORSE else 0.0
        gain = self.gain if recipe_number(candidate) > 1 else 0.0
        return season + aged + short + worse - gain + 0.03 * (model == self.broken)

    def observe(self, week: int, champion: str) -> None:
        """Write the data drift of a week."""
        self.ledger.append(
            Observation(
                batch=name(week),
                revision=1,
                champion=champion,
                data=self.drift(week),
                report_run_id=digest(f"report {week}")[:32],
                event_time=end(week),
            )
        )

    def drift(self, week: int) -> DataDrift:
        columns = []
        for place, feature in enumerate(self.params.data.features):
            season = 0.09 * (1 + math.sin(week / 5 + place)) * (place % 4 == 2)
            drifts = (week in DRIFT and place == 9) or (week == DRIFT[2] and place > 6)
            score = abs(self.draw.gauss(0.04, 0.02)) + season + 0.3 * drifts
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

    def assess(self, week: int) -> None:
        """Stage the leader's newest model, and do what the policy says."""
        now = standing(self.ledger, self.params)
        newest = now.shadows.get(now.leading)
        if newest is not None:
            self.stage(week, newest)
        decision = decide(now.record, now.tenures, now.leading, self.params)
        if decision.due is not None and decision.due not in self.open:
            self.open[decision.due] = self.ask(week, decision.due, decision.reason, champion=self.champion)
        for source, request in list(self.open.items()):
            if decision.action == "WAIT":
                self.wait(week, request, decision.reason)
                continue
            del self.open[source]
            self.conclude(week, request, decision)

    def conclude(self, week: int, request: Request, decision: PolicyDecision) -> None:
        """Answer a request as the policy says."""
        if decision.action == "DEPLOY":
            self.deploy(week, request, decision)
        elif decision.action == "ROLLBACK":
            self.roll_back(week, request, decision)
        else:
            self.answer(week, request, "SKIP", decision.reason, evidence=decision.evidence)

    def deploy(self, week: int, request: Request, decision: PolicyDecision) -> None:
        """Deploy the newest model of the leading candidate."""
        evidence, before = decision.evidence, self.champion
        if self.runs == FAILED_RUN - 1:
            failed = self.start_run(week, request, decision.reason)
            self.end_run(week, failed, "failed", "MLflow at http://mlflow:5000 does not answer")
        run = self.start_run(week, request, decision.reason)
        version, self.staged = self.staged, None
        assert version is not None and self.run_of(version) == evidence.target
        if week >= BROKEN and self.broken is None:
            self.broken = evidence.target
        self.day += timedelta(minutes=4)
        self.answer(week, request, "DEPLOY", decision.reason, run=run.key, version=version, evidence=evidence)
        self.end_run(week, run, "concluded", decision.reason)
        reason, key = f"DEPLOY: {decision.reason}", f"{run.key}:promote"
        self.move(key, "promote", version, "Production", reason, week, before, run.holder, sha256(evidence))
        self.champion, self.former, self.deployed = version, before, 0

    def roll_back(self, week: int, request: Request, decision: PolicyDecision) -> None:
        """Go back to the former champion."""
        bad, to, evidence = self.champion, self.former, decision.evidence
        assert bad is not None and to is not None
        self.answer(week, request, "ROLLBACK", decision.reason, version=to, evidence=evidence)
        transition, orders = facts_of_rollback(
            bad=bad,
            to=to,
            actor=WATCH_RULE,
            reason=decision.reason,
            event_time=end(week),
            key=f"watch:{request.episode}",
            evidence_sha256=sha256(evidence),
        )
        self.day += timedelta(minutes=1)
        self.ledger.append(*orders, transition, TransitionEnd(key=transition.key, outcome="done"))
        self.champion, self.former = to, None

    def stage(self, week: int, shadow: Shadow) -> None:
        """Register a model, and move it to Staging in place of the one there."""
        if any(version.training == shadow.training for version in self.versions.values()):
            return
        version = self.register(shadow)
        if self.staged is not None:
            reason = f"version {version} is newer"
            self.move(f"archive:{self.staged}", "archive", self.staged, "Archived", reason, week)
        reason = f"the newest model of {shadow.candidate}, through batch {shadow.batch}"
        self.move(f"stage:{version}", "stage", version, "Staging", reason, week)
        self.staged = version

    def register(self, shadow: Shadow) -> str:
        """Register a model."""
        assert shadow.training is not None
        self.day += timedelta(minutes=2)
        number = str(len(self.versions) + 1)
        self.versions[number] = Version(version=number, candidate=shadow.candidate, training=shadow.training)
        self.ledger.append(self.versions[number])
        return number

    def run_of(self, version: str) -> str:
        """The MLflow run of a version."""
        return self.versions[version].training.run_id

    def ask(self, week: int, source: str, reason: str, **fields: Any) -> Request:
        self.day += timedelta(minutes=5)
        request = Request(
            source=source,  # type: ignore[arg-type]
            episode=f"{name(week)}:{source}:{reason[:20]}",
            reason=reason,
            event_time=end(week),
            **fields,
        )
        self.ledger.append(request)
        return request

    def answer(
        self, week: int, request: Request, action: str, reason: str, *, run: str | None = None, **fields: Any
    ) -> None:
        """Give the final answer to a request."""
        answer = Answer(
            request=request.key,
            action=action,  # type: ignore[arg-type]
            reason=reason,
            holder=f"run-{week}",
            event_time=end(week),
            run=run,
            **fields,
        )
        self.ledger.append(answer)

    def wait(self, week: int, request: Request, reason: str) -> None:
        """Say why a request must wait."""
        waits = self.ledger.all(Wait, request=request.key)
        wait = Wait(
            request=request.key,
            reason=reason,
            holder=f"run-{week}",
            event_time=end(week),
            number=len(waits) + 1,
        )
        self.ledger.append(wait)

    def start_run(self, week: int, request: Request, reason: str | None = None) -> Run:
        """Start a run that works on a request."""
        self.runs += 1
        run = Run(
            key=f"{self.model}-{self.runs}",
            request=request.key,
            action="DEPLOY",
            reason=reason or request.reason,
            holder=f"run-{week}",
            commit=digest(f"commit {week}")[:40],
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

    def question(self, week: int, run: Run, text: str) -> None:
        """Ask a person about a run."""
        self.ledger.append(Question(key=run.key, text=text, event_time=end(week)))

    def move(
        self,
        key: str,
        kind: TransitionKind,
        version: str,
        to: Stage,
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
            to_stage=to,
            replaces=replaces,
            actor=actor,
            reason=reason,
            evidence_sha256=evidence,
            event_time=end(week),
        )
        self.ledger.append(transition, TransitionEnd(key=key, outcome="done"))

    def order(self, week: int, verb: OrderVerb, version: str | None, actor: str, reason: str) -> None:
        order = Order(verb=verb, version=version, actor=actor, reason=reason, event_time=end(week))
        self.ledger.append(order)

    def dry_run(self, week: int) -> None:
        """A person asks what the policy would do."""
        request = self.ask(week, "ui", "would it deploy?", dry_run=True)
        now = standing(self.ledger, self.params)
        decision = decide(now.record, now.tenures, now.leading, self.params, "ui")
        reason = f"dry run: {decision.action}: {decision.reason}"
        self.answer(week, request, "SKIP", reason, evidence=decision.evidence)

    def late_labels(self) -> None:
        for week in WITHHELD[:2]:
            self.ingest(week, revision=2)
            self.measure(week, revision=2)

    def leave_open(self, week: int) -> None:
        """A run that waits for a person, an alert that waits for the end of a pause, and a batch in quarantine."""
        run = self.start_run(week, self.ask(week, "ui", "a new airport opened"))
        self.question(
            week, run, f"Deploy the newest model of {self.model}? version {self.champion} is in Production"
        )
        pause = "the holidays are no time to move models"
        self.order(week, "pause", None, "eve", pause)
        request = self.ask(week, "alert", "the loss is high", champion=self.champion)
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


def name(week: int) -> str:
    """The batch of a week."""
    return f"2025-W{week + 1:02d}"


def digest(text: str) -> str:
    """A digest that looks like one."""
    return hashlib.sha256(text.encode()).hexdigest()


def end(week: int) -> datetime:
    """When a week ends."""
    return BEGIN + (week + 1) * WEEK


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
