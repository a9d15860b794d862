"""`make bench-ledger`: how long reads take on a ledger of 1,000 batches."""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from tests.support.year import START, Year, digest, name
from trimtab import params
from trimtab.contracts import CalibrationBin, Evidence, Regret, Score
from trimtab.ledger import (
    Answer,
    Batch,
    Ledger,
    Measurement,
    Observation,
    Run,
    Shadow,
    Snapshot,
    Transition,
    TransitionEnd,
    Version,
    kind_of,
    queries,
)
from trimtab.loop import arbitrate
from trimtab.trigger.policy import PolicyDecision
from trimtab.trigger.standing import standing
from trimtab.views import health, history, prometheus, prometheus_loop
from trimtab.views.page import html

BATCHES = 1000
REPEATS = 5
PARAMS = params.load(Path(params.FILE))
MODEL = PARAMS.model.name
LEASE = f"retrain:{MODEL}"


class Loop(Year):
    """The year of the tests, which goes on for 1,000 weeks, with scores as large as real ones.

    Every eighth week brings a deployment: to ask the policy after each week would take longer than all that is measured.
    """

    def score(self, model: str, week: int, rows: int) -> Score:
        """The score of a model with its slices and its calibration."""
        score = super().score(model, week, rows)
        bins = (CalibrationBin(rows=rows // 20, predicted=rows / 100, observed=rows / 100),) * 20
        return replace(score, slices={f"origin={each}": score.blocks for each in range(3)}, calibration=bins)

    def assess(self, week: int) -> None:
        """Move the newest model to Staging, and deploy it in every eighth week."""
        newest = self.ledger.last(Shadow, candidate="all")
        if newest is None or newest.training is None:
            return
        self.stage(week, newest)
        if week % 8 == 0 and week >= START:
            evidence = Evidence(
                leader="all",
                target=newest.training.run_id,
                regret=Regret(by_batch=(0.001,) * 8, at_stake=0.46),
                age=8,
            )
            reason = "the champion is 8 batches old"
            request = self.ask(week, "age", reason, champion=self.champion)
            self.deploy(week, request, PolicyDecision(action="DEPLOY", reason=reason, evidence=evidence))


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

    # the model of the former champion is not there to be loaded
    loop = SimpleNamespace(
        ledger=ledger, params=PARAMS, commit=digest("commit")[:40], load=lambda version: None
    )

    def arbiters_read() -> object:
        facts = Snapshot(ledger)
        waiting = queries.waiting_requests(facts)
        return waiting, arbitrate.read_state(loop, facts, "run"), standing(facts, PARAMS)

    return {
        "the page's data (53 batches)": lambda: health.read(ledger, PARAMS, 53),
        "the page": page,
        "the metrics": lambda: prometheus.rendered(prometheus_loop.families(ledger, PARAMS, LEASE)),
        "history --last 20": lambda: history.read(ledger, 20),
        "history": lambda: history.read(ledger, None),
        "why VERSION": lambda: history.about(ledger, "100"),
        "why BATCH": lambda: history.about(ledger, name(100)),
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
        Loop(ledger, PARAMS).play(BATCHES)
        kinds = (Batch, Measurement, Shadow, Observation, Version, Answer, Run, Transition)
        counts = ", ".join(f"{len(ledger.keys(kind)):,} {kind_of(kind)}" for kind in kinds)
        print(f"SQLite, {path.stat().st_size / 1e6:.0f} MB: {counts}")
        print(f"{'read':<32}{'processor':>12}{'time':>12}")
        for title, read in reads(ledger).items():
            processor, wall = best(read)
            print(f"{title:<32}{processor:>9.0f} ms{wall:>9.0f} ms")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
