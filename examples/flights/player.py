"""Plays the weeks through the real stack: traffic, outcomes, landing, and the decisions of the loop."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pandas as pd

from examples.flights import flights, ledger_queries, progress
from examples.flights.records import Demo, First, Observed, Served, Week, save
from examples.flights.resume import SERVED
from examples.flights.scorecard import score_of
from examples.flights.traffic import Client
from examples.flights.watch import Watch
from trimtab.errors import RunFailed
from trimtab.ledger import Batch, Ledger, QuarantineAction, state
from trimtab.params import Params
from trimtab.settings import Settings

FIRST_MODEL = "first model"
_INGEST_SECONDS = 300
_MONITOR_SECONDS = 300
_RETRAIN_SECONDS = 1200
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
            RunFailed: A run failed or did not end in time, or the first model did not pass the gate.
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

    def _land_labels(self, weeks: Sequence[flights.Week]) -> None:
        """Land the weeks again with their labels, and wait until they are measured again."""
        for week in weeks:
            if self._observed(week.batch, revision=2) is None:
                served = read_served(self.where.home, week.batch)
                self.client.feedback(
                    week.rows if served is None else week.rows[week.rows["row_id"].isin(served.index)]
                )
                flights.land(self.where.landing, week)
        self.watch.trigger("ingest_batch", f"{weeks[0].batch}-labels", {})
        for week in weeks:
            observed = self.watch.until(
                f"{week.batch} to be monitored with its labels",
                partial(self._observed, week.batch, revision=2),
                seconds=_MONITOR_SECONDS,
            )
            self.out.say(progress.late_line(week.batch, observed))
        self._settle()

    def _begin(self, weeks: Sequence[flights.Week]) -> None:
        seconds: dict[str, float] = {}
        with _timed(seconds, "ingest"):
            for week in weeks:
                if not self._is_ingested(week.batch):
                    flights.land(self.where.landing, week)
            self.watch.trigger("ingest_batch", "start", {})
            for week in weeks:
                self._wait_for_ingest(week.batch)
            self._settle()
        with _timed(seconds, "retrain"):
            if ledger_queries.production(self.ledger) is None:
                self.watch.trigger("retrain_model", "first-model", {"reason": FIRST_MODEL})
                self._settle()
        version = ledger_queries.production(self.ledger)
        decisions = ledger_queries.decisions(self.ledger, after=0)
        if version is None:
            got = "; ".join(decision.sentence or decision.reason for decision in decisions) or "no decision"
            raise RunFailed("a first model that passes the gate", got, self.where.home / "logs")
        self._wait_for_reload(version, seconds)
        decision = next(decision for decision in decisions if decision.version == version)
        first, newest = First(decision=decision, seconds=seconds), ledger_queries.newest_decision(self.ledger)
        self._save(replace(self.demo, first=first, newest_decision=newest))
        self.out.say(
            f"First champion after {sum(seconds.values()):.0f} s: version {version}. {decision.sentence}"
        )

    def _week(self, week: flights.Week, played: Week) -> Week:
        seconds = dict(played.seconds)
        with _timed(seconds, "ingest"):
            if not self._is_ingested(week.batch):
                flights.land(
                    self.where.landing, flights.unlabelled(week) if week.batch in self.late else week
                )
                self.watch.trigger("ingest_batch", week.batch, {"batch": week.batch})
            elif self._observed(week.batch) is None:
                self.watch.trigger("monitor_model", week.batch, {})
            self._wait_for_ingest(week.batch)
        note = self._refused(week.batch)
        with _timed(seconds, "monitor"):
            if note is None:
                self.watch.until(
                    f"{week.batch} to be monitored",
                    partial(self._observed, week.batch),
                    seconds=_MONITOR_SECONDS,
                )
        with _timed(seconds, "settle"):
            self._settle()
        return self._end(replace(played, seconds=seconds, note=note))

    def _end(self, week: Week) -> Week:
        decisions = ledger_queries.decisions(self.ledger, after=self.demo.newest_decision)
        seconds = dict(week.seconds)
        # The wait after the observation belongs to the monitoring, unless it led to a retraining.
        phase = "retrain" if any(each.action in ("RETRAIN", "JUDGE") for each in decisions) else "monitor"
        seconds[phase] = seconds.get(phase, 0.0) + seconds.pop("settle", 0.0)
        self._wait_for_reload(ledger_queries.production(self.ledger), seconds)
        done = replace(
            week,
            observed=self._observed(week.batch),
            decisions=decisions,
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
            rows = week.rows.merge(predicted, on="row_id", how="inner")
            if week.batch not in self.late:
                self.out.doing(f"{week.batch}: sending the outcomes")
                self.client.feedback(rows)
        write_served(self.where.home, week.batch, predicted)
        truth = rows[rows["label"].notna()]
        served = Served(
            rows=len(predicted),
            version=str(predicted["version"].iloc[-1]),
            score=score_of(week.batch, truth, truth["probability"]),
        )
        played = Week(batch=week.batch, served=served, seconds=seconds)
        self._save(self.demo.with_week(played))
        return played

    def _observed(self, batch: str, *, revision: int = 1) -> Observed | None:
        return ledger_queries.observed(self.ledger, batch, self.params, revision=revision)

    def _refused(self, batch: str) -> str | None:
        entries = state.open_quarantine(self.ledger.all(QuarantineAction)).values()
        reasons = (entry.reason for entry in entries if entry.kind == "batch" and entry.batch == batch)
        return next(reasons, None)

    def _is_ingested(self, batch: str) -> bool:
        """Say whether a batch was ingested or refused."""
        return bool(self.ledger.keys(Batch, prefix=f"{batch}:")) or self._refused(batch) is not None

    def _wait_for_ingest(self, batch: str) -> None:
        self.watch.until(
            f"{batch} to be ingested", partial(self._is_ingested, batch), seconds=_INGEST_SECONDS
        )

    def _settle(self) -> None:
        self.watch.until("the loop to finish", self.watch.quiet, seconds=_RETRAIN_SECONDS)

    def _wait_for_reload(self, version: str | None, seconds: dict[str, float]) -> None:
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


def write_served(home: Path, batch: str, predicted: pd.DataFrame) -> None:
    """Store the service's predictions of one week: `row_id`, `probability`, `version`."""
    folder = home / SERVED
    folder.mkdir(exist_ok=True)
    predicted.to_parquet(folder / f"{batch}.parquet", index=False)


def read_served(home: Path, batch: str) -> pd.Series | None:
    """Return the service's probabilities of one week by `row_id`, None if it had no traffic."""
    path = home / SERVED / f"{batch}.parquet"
    return pd.read_parquet(path).set_index("row_id")["probability"] if path.exists() else None
