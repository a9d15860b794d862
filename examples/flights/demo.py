"""The whole demo: open the home, start the stack, play the weeks, compare policies, print the result, stop."""

import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from examples.flights import flights, ledger_queries, progress, records, resume
from examples.flights.page import page
from examples.flights.player import Player
from examples.flights.records import Demo
from examples.flights.scorecard import scorecard
from examples.flights.traffic import Client
from examples.flights.watch import Watch
from trimtab import params as parameters
from trimtab import settings
from trimtab.clock import system_clock
from trimtab.errors import Unfit
from trimtab.ledger import Ledger
from trimtab.loop.initialise import initialise
from trimtab.loop.loop import open_loop
from trimtab.params import Params
from trimtab.settings import Ports, Settings
from trimtab.stack import airflow_api, control, preflight
from trimtab.stack.airflow_api import AirflowApi

_HEALTHY_SECONDS = 180


def play(weeks: int, tree: Path, withhold: int) -> int:
    """Play `weeks` weeks, or resume, and return the exit status.

    Raises the errors of `open_home` and `Player.play`.
    """
    where, out = settings.read(), progress.Progress()
    params = parameters.load(tree / parameters.FILE)
    out.doing("reading the flights")
    played = list(islice(flights.weeks(), weeks))
    check_weeks(weeks, len(played), params, withhold)
    running = control.running(where.home)
    if not running:
        control.stop(where.home)  # remains of a killed stack occupy its ports
        preflight.check(where.home, tree, Ports())
    demo = open_home(where, tree, len(played), withhold=withhold, running=running, out=out)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if not running:
            _start(where, tree, out)
        demo = _play(demo, params, where, played, out)
    except KeyboardInterrupt:
        out.say("Interrupted. `make demo` with the same params.yaml resumes here.")
        return 128 + signal.SIGINT
    finally:
        if not running:
            out.doing("stopping the stack")
            control.stop(where.home)
    print_result(demo, where, out)
    out.say(
        "The stack was running before and stays up. `make down` stops it."
        if running
        else "Stopped. `make up` starts the same stack again."
    )
    return 0


def check_weeks(weeks: int, available: int, params: Params, withhold: int = 0) -> None:
    """Refuse a number of weeks that leaves too little to play: one week has no standard error.

    Raises:
        Unfit: Too few or too many.
    """
    start = params.train.start_batches
    if available < weeks:
        raise Unfit(
            f"Expected at most {available} weeks, as many as the flights have, got {weeks}",
            f"Set WEEKS to {available} or less.",
        )
    if available < start + 2:
        raise Unfit(
            f"Of {available} weeks the first {start} (train.start_batches) train the first model, and two more are needed",
            f"Set WEEKS to {start + 2} or more.",
        )
    played = available - start
    if not 0 <= withhold <= played:
        raise Unfit(
            f"The labels of {withhold} weeks were to be withheld, {played} weeks are played",
            f"Set WITHHOLD to 0 or more, at most {played}.",
        )


def open_home(
    where: Settings, tree: Path, weeks: int, *, withhold: int = 0, running: bool, out: progress.Progress
) -> Demo:
    """Decide whether to start fresh or to resume, print which, and clear the home for a fresh start.

    Raises:
        Unfit: As `resume.decide`.
    """
    marker, digest, claimed = records.load(where.home), resume.digest(tree), resume.claims(where)
    present = {name for name in claimed if (where.home / name).exists()}
    beginning = resume.decide(marker, present=present, running=running, params_sha256=digest, weeks=weeks)
    out.say(beginning.sentence)
    if beginning.kind == "resume" and marker is not None:
        return replace(marker, weeks=weeks)
    resume.clear(where.home, beginning.remove)
    where.home.mkdir(parents=True, exist_ok=True)
    demo = Demo(
        params_sha256=digest,
        weeks=weeks,
        withhold=withhold,
        started_at=system_clock(),
        made=tuple(sorted(claimed)),
    )
    records.save(where.home, demo)
    return demo


def _start(where: Settings, tree: Path, out: progress.Progress) -> None:
    out.doing("creating the origin and starting the stack")
    initialise(tree)
    control.start(where.home, tree)
    control.wait_healthy(where.home, _HEALTHY_SECONDS, out.doing)


def _play(
    demo: Demo, params: Params, where: Settings, weeks: Sequence[flights.Week], out: progress.Progress
) -> Demo:
    addresses = control.addresses(where.home)
    out.say(control.status(where.home))
    return through(
        demo,
        params,
        where,
        weeks,
        out,
        airflow=airflow_api.connect(where.home),
        client=Client(addresses.service, params),
        addresses={
            "Airflow": f"{addresses.airflow} (user admin, password in {addresses.passwords})",
            "MLflow": addresses.mlflow,
            "Model service": addresses.service,
        },
    )


def through(
    demo: Demo,
    params: Params,
    where: Settings,
    weeks: Sequence[flights.Week],
    out: progress.Progress,
    *,
    airflow: AirflowApi,
    client: Client,
    addresses: Mapping[str, str],
) -> Demo:
    """Play the weeks through a running Airflow and service, compare policies, and write the page.

    Raises the errors of `Player.play`.
    """
    begin, ledger = time.monotonic(), Ledger(where.ledger, params.model.name)
    watch = Watch(airflow, where.home, out)
    for name in watch.clear_failed():
        out.say(f"Cleared a failed run: {name}")
    player = Player(demo=demo, params=params, where=where, ledger=ledger, client=client, watch=watch, out=out)
    demo = player.play(weeks)
    demo = replace(
        demo,
        finished=True,
        scorecard=scorecard(open_loop(), out.doing),
        fits=ledger_queries.fits(ledger),
        tasks=watch.task_times(demo.started_at),
        addresses={
            **addresses,
            "Logs": str(where.home / "logs"),
            "This page, as data": str(where.home / records.MARKER),
        },
        seconds=demo.seconds + time.monotonic() - begin,
    )
    records.save(where.home, demo)
    (where.home / resume.PAGE).write_text(page(demo, params.trigger.regret), encoding="utf-8")
    return demo


def print_result(demo: Demo, where: Settings, out: progress.Progress) -> None:
    """Print how long the demo took, the scorecard, and where to find more."""
    out.say(f"\n{progress.timing(demo)}\n\n{progress.scorecard_table(demo)}\n")
    out.say(
        f"Page: {where.home / resume.PAGE}   Data: {where.home / records.MARKER}   Logs: {where.home / 'logs'}"
    )
