"""Plays the weeks through the real stack: traffic, truth, landing, and the loop's own answers."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from examples.flights import ledger_queries, progress
from examples.flights.flights import Week as FlightWeek
from examples.flights.landing import land, unlabelled
from examples.flights.records import Demo, First, Observed, Served, Week, save
from examples.flights.resume import SERVED
from examples.flights.scorecard import LABEL, METRIC
from examples.flights.traffic import Client
from examples.flights.watch import Watch
from trimtab.errors import RunFailed
from trimtab.evaluate.scores import score
from trimtab.ledger.ledger import Ledger
from trimtab.params import Params
from trimtab.settings import Settings

FIRST_MODEL = "first model"
_INGEST_SECONDS = 300
_MONITOR_SECONDS = 300
_RETRAIN_SECONDS = 1200
_RELOAD_SECONDS = 60
"""Limits of waiting, some twenty times what an idle machine needs."""


class Player:
    """One demo in play; every finished step is saved, so that it can be taken up again."""

    def __init__(
        self,
        *,
        demo: Demo,
        params: Params,
        where: Settings,
        ledger: Ledger,
        client: Client,
        watch: Watch,
        out: progress.Progress,
    ) -> None:
        self.demo = demo
        self._params = params
        self._model = params.model.name
        self._where = where
        self._ledger = ledger
        self._client = client
        self._watch = watch
        self._out = out
        self._late: set[str] = set()

    def play(self, weeks: Sequence[FlightWeek]) -> Demo:
        """Play all weeks that are not done yet; return what there is to tell.

        Raises:
            RunFailed: A run failed or did not end in time, or the first model did not pass the gate.
            StoreUnreachable: The service does not answer.
        """
        start = self._params.train.start_batches
        if self.demo.first is None:
            self._begin(weeks[:start])
        self._out.say(progress.HEADER)
        late = weeks[start : start + self.demo.withhold]
        self._late = {week.batch for week in late}
        for week in weeks[start:]:
            known = self.demo.week(week.batch) or self._traffic(week)
            if not known.done:
                known = self._week(week, known)
            self._out.say(progress.week_line(known))
            if late and week is late[-1]:
                self._labels_come(late)
        return self.demo

    def _labels_come(self, weeks: Sequence[FlightWeek]) -> None:
        """Land the weeks again, now with their labels, and see them measured again."""
        for week in weeks:
            if self._observed(week.batch, revision=2) is None:
                served = read_served(self._where.home, week.batch)
                self._client.feedback(
                    week.rows if served is None else week.rows[week.rows["row_id"].isin(served.index)]
                )
                land(self._where.landing, week)
        self._watch.trigger("ingest_batch", f"{weeks[0].batch}-labels", {})
        for week in weeks:
            seen = self._watch.until(
                f"{week.batch} to be monitored with its labels",
                partial(self._observed, week.batch, revision=2),
                seconds=_MONITOR_SECONDS,
            )
            self._out.say(progress.late_line(week.batch, seen))
        self._settle()

    def _begin(self, weeks: Sequence[FlightWeek]) -> None:
        seconds: dict[str, float] = {}
        with _timed(seconds, "ingest"):
            for week in weeks:
                if not self._came_in(week.batch):
                    land(self._where.landing, week)
            self._watch.trigger("ingest_batch", "start", {})
            for week in weeks:
                self._wait_for_ingest(week.batch)
            self._settle()
        with _timed(seconds, "retrain"):
            if ledger_queries.production(self._ledger, self._model) is None:
                self._watch.trigger("retrain_model", "first-model", {"reason": FIRST_MODEL})
                self._settle()
        version = ledger_queries.production(self._ledger, self._model)
        answers = ledger_queries.answers(self._ledger, self._model, after=0)
        if version is None:
            got = "; ".join(answer.sentence or answer.reason for answer in answers)
            raise RunFailed(
                "a first model that passes the gate", got or "no answer", self._where.home / "logs"
            )
        self._follow(version, seconds)
        first = First(answer=next(answer for answer in answers if answer.version == version), seconds=seconds)
        self._keep(
            replace(
                self.demo,
                first=first,
                decisions_told=ledger_queries.newest_decision(self._ledger, self._model),
            )
        )
        self._out.say(
            f"First champion after {sum(seconds.values()):.0f} s: version {version}. {first.answer.sentence}"
        )

    def _week(self, week: FlightWeek, known: Week) -> Week:
        seconds = dict(known.seconds)
        with _timed(seconds, "ingest"):
            if not self._came_in(week.batch):
                land(self._where.landing, unlabelled(week) if week.batch in self._late else week)
                self._watch.trigger("ingest_batch", week.batch, {"batch": week.batch})
            elif self._observed(week.batch) is None:
                self._watch.trigger("monitor_model", week.batch, {})
            self._wait_for_ingest(week.batch)
        note = self._refused(week.batch)
        with _timed(seconds, "monitor"):
            if note is None:
                seen = partial(self._observed, week.batch)
                self._watch.until(f"{week.batch} to be monitored", seen, seconds=_MONITOR_SECONDS)
        with _timed(seconds, "settle"):
            self._settle()
        return self._end(replace(known, seconds=seconds, note=note))

    def _end(self, week: Week) -> Week:
        answers = ledger_queries.answers(self._ledger, self._model, after=self.demo.decisions_told)
        seconds = dict(week.seconds)
        # The wait after the observation is the monitoring's own end, unless it led to a retraining.
        phase = "retrain" if any(answer.action in ("RETRAIN", "JUDGE") for answer in answers) else "monitor"
        seconds[phase] = seconds.get(phase, 0.0) + seconds.pop("settle", 0.0)
        version = ledger_queries.production(self._ledger, self._model)
        self._follow(version, seconds)
        done = replace(
            week,
            observed=self._observed(week.batch),
            answers=answers,
            version_after=version,
            seconds=seconds,
            done=True,
        )
        told = ledger_queries.newest_decision(self._ledger, self._model)
        self._keep(replace(self.demo.with_week(done), decisions_told=told))
        return done

    def _traffic(self, week: FlightWeek) -> Week:
        seconds: dict[str, float] = {}
        with _timed(seconds, "traffic"):
            self._out.doing(f"{week.batch}: {len(week.rows)} flights ask for a prediction")
            predicted = self._client.predict(week.rows)
            if predicted.empty:
                raise RunFailed(
                    f"predictions for {week.batch}", "every row refused", "data.features in params.yaml"
                )
            rows = week.rows.merge(predicted, on="row_id", how="inner")
            if week.batch not in self._late:
                self._out.doing(f"{week.batch}: the truth comes in")
                self._client.feedback(rows)
        write_served(self._where.home, week.batch, predicted)
        truth = rows[rows["label"].notna()]
        served = Served(
            rows=len(predicted),
            refused=len(week.rows) - len(predicted),
            version=str(predicted["version"].iloc[-1]),
            score=score(week.batch, LABEL, truth["label"].astype("int64"), truth["probability"], METRIC),
        )
        known = Week(batch=week.batch, served=served, seconds=seconds)
        self._keep(self.demo.with_week(known))
        return known

    def _observed(self, batch: str, *, revision: int = 1) -> Observed | None:
        return ledger_queries.observed(self._ledger, batch, self._params, revision=revision)

    def _refused(self, batch: str) -> str | None:
        waiting = self._ledger.open_quarantine(self._model).values()
        return next(
            (entry.reason for entry in waiting if entry.kind == "batch" and entry.batch == batch), None
        )

    def _came_in(self, batch: str) -> bool:
        in_force = {record.manifest.batch for record in self._ledger.batches(self._model)}
        return batch in in_force or self._refused(batch) is not None

    def _wait_for_ingest(self, batch: str) -> None:
        self._watch.until(f"{batch} to be ingested", partial(self._came_in, batch), seconds=_INGEST_SECONDS)

    def _settle(self) -> None:
        self._watch.until("the loop to come to rest", self._watch.quiet, seconds=_RETRAIN_SECONDS)

    def _follow(self, version: str | None, seconds: dict[str, float]) -> None:
        with _timed(seconds, "reload"):
            self._watch.until(
                f"the service to answer with version {version}",
                lambda: self._client.version() == version,
                seconds=_RELOAD_SECONDS,
            )

    def _keep(self, demo: Demo) -> None:
        self.demo = demo
        save(self._where.home, demo)


@contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    begin = time.monotonic()
    yield
    seconds[phase] = seconds.get(phase, 0.0) + time.monotonic() - begin


def write_served(home: Path, batch: str, predicted: pd.DataFrame) -> None:
    """Keep the service's answers of one week: `row_id`, `probability`, `version`."""
    folder = home / SERVED
    folder.mkdir(exist_ok=True)
    predicted.to_parquet(folder / f"{batch}.parquet", index=False)


def read_served(home: Path, batch: str) -> pd.Series | None:
    """Return the service's probabilities of one week by `row_id`, None when it had no traffic."""
    path = home / SERVED / f"{batch}.parquet"
    return pd.read_parquet(path).set_index("row_id")["probability"] if path.exists() else None
