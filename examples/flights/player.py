"""Plays the weeks through the real stack: traffic, outcomes, landing, and the decisions of the loop."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from examples.flights import flights, ledger_queries, progress
from examples.flights.records import Demo, First, Served, Week, save
from examples.flights.traffic import Client
from examples.flights.watch import Watch
from trimtab.errors import RunFailed
from trimtab.ledger import (
    Batch,
    Ledger,
    Measurement,
    Observation,
    QuarantineAction,
    batch_key,
    queries,
    state,
)
from trimtab.params import Params
from trimtab.settings import Settings

_INGEST_SECONDS = 300
_MEASURE_SECONDS = 1200
_ACT_SECONDS = 1200
_RELOAD_SECONDS = 60
"""Time limits, about twenty times what an idle machine needs."""


@dataclass(kw_only=True)
class Player:
    """A demo that is being played. Every finished step is saved, so that the demo can be resumed."""

    demo: Demo
    params: Params
    where: Settings
    ledger: Ledger
    client: Client
    watch: Watch
    out: progress.Progress
    late: set[str] = field(default_factory=set)
    """Batches whose labels land later than their rows."""

    def play(self, weeks: Sequence[flights.Week]) -> Demo:
        """Play all weeks that are not done yet; return the demo.

        Raises:
            RunFailed: A run failed or did not end in time, or no first model was deployed.
            StoreUnreachable: The service does not answer.
        """
        start = self.params.train.start_batches
        if self.demo.first is None:
            self._begin(weeks[:start])
        self.out.say(progress.HEADER)
        late = weeks[start : start + self.demo.withhold]
        self.late = {week.batch for week in late}
        for week in weeks[start:]:
            played = self.demo.week(week.batch) or self._traffic(week)
            self.out.say(progress.week_line(played if played.done else self._week(week, played)))
            if late and week is late[-1]:
                self._land_labels(late)
        return self.demo

    def _begin(self, weeks: Sequence[flights.Week]) -> None:
        """Land the weeks of the first training, and wait until the loop has deployed a model."""
        seconds: dict[str, float] = {}
        self._take_in(weeks, seconds)
        with _timed(seconds, "act"):
            self._settle()
        decisions = ledger_queries.decisions(self.ledger, after=0)
        first = next((decision for decision in decisions if decision.moves), None)
        if first is None:
            got = "; ".join(decision.reason for decision in decisions) or "no decision"
            raise RunFailed("a first model that is better than the baseline", got, self.where.home / "logs")
        self._wait_for_reload(seconds)
        newest = ledger_queries.newest_decision(self.ledger)
        self._save(replace(self.demo, first=First(decision=first, seconds=seconds), newest_decision=newest))
        self.out.say(f"After {sum(seconds.values()):.0f} s: {progress.in_words(first)}")

    def _week(self, week: flights.Week, played: Week) -> Week:
        seconds = dict(played.seconds)
        self._take_in([week], seconds)
        return self._end(replace(played, seconds=seconds, note=self._refused(week.batch)))

    def _land_labels(self, weeks: Sequence[flights.Week]) -> None:
        """Send the outcomes, land the weeks again with their labels, and wait until they are measured."""
        played = [week for week in self.demo.played if week.batch in self.late and week.measured is None]
        if not played:
            return
        for week in weeks:
            self.client.feedback(week.rows)
        self._take_in(weeks, {}, revision=2)
        # The decisions follow from all of the labels, and so belong to the last week.
        for done in reversed([self._end(week) for week in reversed(played)]):
            self.out.say(progress.late_line(done))

    def _take_in(
        self, weeks: Sequence[flights.Week], seconds: dict[str, float], *, revision: int = 1
    ) -> None:
        """Land the weeks that the loop does not have, and wait until all are ingested and measured."""
        with _timed(seconds, "ingest"):
            missing = [week for week in weeks if not self._is_ingested(week.batch, revision)]
            for week in missing:
                late = week.batch in self.late and revision == 1
                flights.land(self.where.landing, flights.unlabelled(week) if late else week)
            dag = "ingest_batch" if missing else "monitor_model"
            self.watch.trigger(dag, f"{weeks[-1].batch}-r{revision}", {})
            for week in missing:
                ready = partial(self._is_ingested, week.batch, revision)
                self.watch.until(f"{week.batch} to be ingested", ready, seconds=_INGEST_SECONDS)
        with _timed(seconds, "measure"):
            if self._refused(weeks[-1].batch) is None:
                ready = partial(self._is_measured, weeks[-1].batch, revision)
                self.watch.until(f"{weeks[-1].batch} to be measured", ready, seconds=_MEASURE_SECONDS)

    def _end(self, week: Week) -> Week:
        """Wait until the loop has acted on a week, and save what it measured and decided."""
        seconds = dict(week.seconds)
        with _timed(seconds, "act"):
            self._settle()
        self._wait_for_reload(seconds)
        done = replace(
            week,
            measured=ledger_queries.measured(self.ledger, week.batch, self.params),
            decisions=week.decisions + ledger_queries.decisions(self.ledger, after=self.demo.newest_decision),
            seconds=seconds,
            done=True,
        )
        newest = ledger_queries.newest_decision(self.ledger)
        self._save(replace(self.demo.with_week(done), newest_decision=newest))
        return done

    def _traffic(self, week: flights.Week) -> Week:
        seconds: dict[str, float] = {}
        with _timed(seconds, "traffic"):
            self.out.doing(f"{week.batch}: requesting predictions for {len(week.rows)} flights")
            predicted = self.client.predict(week.rows)
            if predicted.empty:
                raise RunFailed(
                    f"predictions for {week.batch}", "every row refused", "data.features in params.yaml"
                )
            if week.batch not in self.late:
                self.out.doing(f"{week.batch}: sending the outcomes")
                self.client.feedback(week.rows)
        served = Served(rows=len(predicted), version=str(predicted["version"].iloc[-1]))
        played = Week(batch=week.batch, served=served, seconds=seconds)
        self._save(self.demo.with_week(played))
        return played

    def _refused(self, batch: str) -> str | None:
        entries = state.open_quarantine(self.ledger.all(QuarantineAction)).values()
        reasons = (entry.reason for entry in entries if entry.kind == "batch" and entry.batch == batch)
        return next(reasons, None)

    def _is_ingested(self, batch: str, revision: int) -> bool:
        """Say whether a revision of a batch was ingested, or refused."""
        return batch_key(batch, revision) in self.ledger.keys(Batch) or self._refused(batch) is not None

    def _is_measured(self, batch: str, revision: int) -> bool:
        """Say whether a batch was scored; without labels, its features alone are compared with older ones."""
        kind = Observation if batch in self.late and revision == 1 else Measurement
        return bool(self.ledger.keys(kind, prefix=batch_key(batch, revision)))

    def _settle(self) -> None:
        self.watch.until("the loop to finish", self.watch.quiet, seconds=_ACT_SECONDS)

    def _wait_for_reload(self, seconds: dict[str, float]) -> None:
        champion = queries.champion(self.ledger)
        version = champion.version if champion else None
        with _timed(seconds, "reload"):
            self.watch.until(
                f"the service to answer with version {version}",
                lambda: self.client.version() == version,
                seconds=_RELOAD_SECONDS,
            )

    def _save(self, demo: Demo) -> None:
        self.demo = demo
        save(self.where.home, demo)


@contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    begin = time.monotonic()
    yield
    seconds[phase] = seconds.get(phase, 0.0) + time.monotonic() - begin
