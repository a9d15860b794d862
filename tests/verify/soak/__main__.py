"""`python -m tests.verify.soak [SECONDS]`: half the saturation rate, with faults and promotions at parts of the run."""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from tests.verify.soak import checks
from tests.verify.soak.records import Seen, shown
from tests.verify.soak.timeline import Timeline
from tests.verify.soak.world import World, world
from trimtab.clock import system_clock
from trimtab.predictions.opening import open_log

SATURATION_SECONDS = 10
DRAIN_SECONDS = 120


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
    """Measure the rate, run at half of it, compare; return what is wrong."""
    began, seen = system_clock(), Seen(expected={model.version: model.answers for model in made.made})
    rate = saturation(made, seen) / 2
    faults, memory = drained(made), made.memory_mb()
    timeline = Timeline(made, seconds)
    print(f"Half of it for {seconds:g} s", flush=True)
    with made.load("soak", rate) as run:
        timeline.play()
    faults += timeline.faults + drained(made)
    print(f"memory of the worker: {memory:.0f} MB at the start, {made.memory_mb():.0f} MB at the end")
    made.service.stop()
    seen.read(run)
    summary(seen, timeline)
    return [*faults, *shown(seen.faults), *seen.order_faults([*seen.expected]), *compared(made, seen, began)]


def saturation(made: World, seen: Seen) -> float:
    """Return the requests per second of clients that ask again at once."""
    with made.load("saturation") as run:
        time.sleep(SATURATION_SECONDS)
    waiting, rate = made.waiting(), seen.read(run) / SATURATION_SECONDS
    print(f"Saturated at {rate:.0f} requests/s; {waiting} records wait for the log", flush=True)
    return rate


def drained(made: World) -> list[str]:
    """Wait until all that was answered is in the log; return what is wrong."""
    begin = time.monotonic()
    if not made.drained(DRAIN_SECONDS):
        return [f"{made.waiting()} records still wait {DRAIN_SECONDS} s after the last request"]
    print(f"The log has all of it {time.monotonic() - begin:.1f} s after the last answer", flush=True)
    return []


def compared(made: World, seen: Seen, began: datetime) -> list[str]:
    """Compare the log with what the clients saw, and look for what was put aside."""
    log = open_log(made.store.url, made.loop.params.predictions)
    faults = checks.differences(made.store.url, seen)
    faults += checks.outcome_faults(log, made.loop.model, seen, began, system_clock())
    counts, answered = log.count(), (len(seen.versions), len(seen.outcomes))
    if counts != answered:
        faults.append(f"expected {answered} predictions and outcomes in the log, got {counts}")
    left = [path.name for path in made.loop.stores.spool.iterdir() if path.name != ".lock"]
    faults += [f"the spool still has {name}" for name in left]
    log.close()
    return faults


def summary(seen: Seen, timeline: Timeline) -> None:
    """Print the latencies of each phase, and what there was."""
    print()
    for name, (begin, end) in timeline.phases.items():
        print(f"{name:<22}{end - begin:>5.0f} s: {seen.latency(begin, end)}")
    kinds = ", ".join(f"{count} {kind}" for kind, count in seen.kinds.items())
    print(
        f"with those of the saturation {kinds}: {len(seen.versions)} predictions, {len(seen.outcomes)} outcomes"
    )


if __name__ == "__main__":
    sys.exit(main())
