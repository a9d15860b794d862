"""`python -m tests.verify.soak [SECONDS]`: half the saturation rate, with faults and promotions at parts of the run."""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from tests.verify.soak import checks, versions
from tests.verify.soak.records import Seen, shown
from tests.verify.soak.world import World, world
from trimtab.clock import system_clock
from trimtab.predictions.opening import open_log

SATURATION_SECONDS = 10
STORE_AWAY_SECONDS, MLFLOW_AWAY_SECONDS = 30, 120
FOLLOW_SECONDS = 15
"""Within which a promoted version must answer."""
AFTER_PROMOTION_SECONDS = 5
DRAIN_SECONDS = 120
Phases = dict[str, tuple[float, float]]


def main() -> int:
    """Run it; the exit status is 1 when anything failed or got lost."""
    parser = argparse.ArgumentParser(prog="tests.verify.soak", description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=600.0)
    seconds = parser.parse_args().seconds
    if not [*Path("/usr/lib/postgresql").glob("*/bin/postgres")]:
        print("postgresql was not found. Install it: apt-get install postgresql", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = Path(tempfile.mkdtemp(prefix="trimtab-soak-"))
    try:
        with world(folder) as made:
            faults = soak(made, seconds)
            if faults:
                print(f"\nThe service printed last:\n{made.service.tail()}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("\nFAILED" if faults else "\nNo request failed; every prediction is in the log exactly once.")
    for fault in faults:
        print(f"- {fault}")
    return int(bool(faults))


def soak(made: World, seconds: float) -> list[str]:
    """Measure, run, compare; return what is wrong."""
    began = system_clock()
    seen = Seen(expected={one.version: one.answers for one in made.made})
    with made.load("saturation") as saturation:
        time.sleep(SATURATION_SECONDS)
    waiting = made.waiting()
    rate = seen.read(saturation) / SATURATION_SECONDS / 2
    print(
        f"Saturated at {2 * rate:.0f} requests/s, {waiting} records wait; half of it for {seconds:g} s",
        flush=True,
    )
    faults = [] if made.drained(DRAIN_SECONDS) else ["the log did not keep up with the saturation"]
    memory = made.memory_mb()
    phases: Phases = {}
    with made.load("soak", rate) as run:
        begin = time.monotonic()
        for part, event in timeline(made, seconds, phases, faults):
            time.sleep(max(0.0, begin + part * seconds - time.monotonic()))
            event()
        time.sleep(max(0.0, begin + seconds - time.monotonic()))
        end = time.monotonic()
    drained, drain = made.drained(DRAIN_SECONDS), time.monotonic() - end
    if not drained:
        faults.append(f"{made.waiting()} records still wait {DRAIN_SECONDS} s after the last request")
    after = made.memory_mb()
    made.service.stop()
    count = seen.read(run)
    faults += [*shown(seen.faults), *seen.order_faults([one.version for one in made.made])]
    faults += compared(made, seen, began)
    summary(seen, phases | {"all of it": (begin, end)})
    print(
        f"{count} requests in {end - begin:.0f} s: {count / (end - begin):.0f} requests/s; of both loads {dict(seen.kinds)}"
    )
    print(
        f"{len(seen.told)} predictions, {len(seen.outcomes)} outcomes; the log had all {drain:.1f} s after the end"
    )
    print(f"memory of the worker: {memory:.0f} MB at the start, {after:.0f} MB at the end")
    return faults


def timeline(
    made: World, seconds: float, phases: Phases, faults: list[str]
) -> Iterator[tuple[float, Callable[[], None]]]:
    """Yield what happens and after which part of the run; the first promotion comes while the log's store is away."""
    store_away = min(STORE_AWAY_SECONDS, 0.05 * seconds) / seconds
    mlflow_away = min(MLFLOW_AWAY_SECONDS, 0.2 * seconds) / seconds
    moments: dict[str, float] = {}

    def away(name: str, do: Callable[[], object], what: str) -> Callable[[], None]:
        def event() -> None:
            moments[name] = time.monotonic()
            do()
            print(f"{what}", flush=True)

        return event

    def back(name: str, do: Callable[[], object]) -> Callable[[], None]:
        def event() -> None:
            do()
            phases[f"{name} away"] = (moments[name], time.monotonic())
            print(
                f"{name} is back after {time.monotonic() - moments[name]:.0f} s; {made.waiting()} records wait",
                flush=True,
            )

        return event

    def promotion(number: int) -> Callable[[], None]:
        return lambda: promoted(made, made.made[number].version, phases, faults)

    yield 0.2, away("the log's store", made.store.kill, "kill -9 of the log's store")
    yield 0.2 + store_away / 2, promotion(1)
    yield 0.2 + store_away, back("the log's store", made.store.start)
    yield 0.4, away("MLflow", made.mlflow.stop, "MLflow was stopped")
    yield 0.4 + mlflow_away, back("MLflow", made.mlflow.start)
    yield 0.7, promotion(2)
    yield 0.85, promotion(3)


def promoted(made: World, version: str, phases: Phases, faults: list[str]) -> None:
    """Promote a version and wait until it answers."""
    versions.promote(made.loop, version)
    begin = time.monotonic()
    while made.ready().get("version") != version:
        if time.monotonic() - begin > FOLLOW_SECONDS:
            faults.append(f"version {version} did not answer within {FOLLOW_SECONDS} s of its promotion")
            break
        time.sleep(0.1)
    print(f"version {version} was promoted and answered {time.monotonic() - begin:.1f} s later", flush=True)
    phases[f"promotion of {version}"] = (begin, begin + AFTER_PROMOTION_SECONDS)


def compared(made: World, seen: Seen, began: datetime) -> list[str]:
    """Compare the log with what the clients saw, and look for what was put aside."""
    log = open_log(made.store.url, made.loop.params.predictions)
    faults = checks.differences(made.store.url, seen)
    faults += checks.outcome_faults(log, made.loop.model, seen, began, system_clock())
    if log.count() != (len(seen.told), len(seen.outcomes)):
        faults.append(
            f"the log has {log.count()} predictions and outcomes, not {len(seen.told)}, {len(seen.outcomes)}"
        )
    faults += [
        f"the spool still has {path.name}"
        for path in made.loop.stores.spool.glob("*")
        if path.name != ".lock"
    ]
    log.close()
    return faults


def summary(seen: Seen, phases: Phases) -> None:
    """Print the latencies of each phase."""
    print()
    for name, (begin, end) in phases.items():
        print(f"{name:<22} {seen.latency(begin, end)}")


if __name__ == "__main__":
    sys.exit(main())
