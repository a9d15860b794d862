"""The demo from its first check to its last line: open the home, start the stack, play, compare, tell, stop."""

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from examples.flights import flights, progress, records, resume
from examples.flights.page import page
from examples.flights.player import Player, read_served
from examples.flights.records import Demo, First, Line
from examples.flights.scorecard import Batch, Recipe, scorecard
from examples.flights.traffic import Client
from examples.flights.watch import Watch
from trimtab import params, settings
from trimtab.clock import system_clock
from trimtab.errors import Unfit
from trimtab.ledger.ledger import Ledger
from trimtab.loop.initialise import initialise
from trimtab.params import Params
from trimtab.settings import Ports, Settings
from trimtab.stack import airflow_api, control, health, preflight
from trimtab.stack.airflow_api import AirflowApi

INTERRUPTED = 130
"""The exit status of a command that Ctrl-C ended."""

_HEALTHY_SECONDS = 180


def play(weeks: int | None, tree: Path, withhold: int) -> int:
    """Do what `examples.flights.__main__.play` promises."""
    where, wanted, out = settings.read(), params.load(tree / params.FILE), progress.Progress()
    out.doing("reading the flights")
    played = list(islice(flights.weeks(), weeks))
    check_weeks(weeks, len(played), wanted, withhold)
    running = control.running(where.home)
    if not running:
        control.stop(where.home)  # what a killed stack left behind holds its ports
        preflight.check(where.home, tree, Ports())
    demo = open_home(where, tree, len(played), withhold=withhold, running=running, out=out)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if not running:
            _start(where, tree, out)
        demo = _play(demo, wanted, where, played, out)
    except KeyboardInterrupt:
        out.say("Interrupted. `make demo` with the same params.yaml goes on from here.")
        return INTERRUPTED
    finally:
        if not running:
            out.doing("stopping the stack")
            control.stop(where.home)
    tell_figures(demo, where, out)
    stopped = "Stopped. `make up` starts the same stack to stay up."
    out.say("The stack ran before, and stays up. `make down` stops it." if running else stopped)
    return 0


def check_weeks(asked: int | None, there: int, wanted: Params, withhold: int = 0) -> None:
    """Refuse a number of weeks that leaves nothing to play.

    Raises:
        Unfit: Too few or too many.
    """
    start = wanted.train.start_batches
    if asked is not None and there < asked:
        raise Unfit(
            f"{asked} weeks were asked for, the flights have {there}", f"Set WEEKS to {there} or less."
        )
    if there <= start:
        what = (
            f"{there} weeks leave none to play: the first {start} (train.start_batches) train the first model"
        )
        raise Unfit(what, f"Set WEEKS to {start + 1} or more.")
    if not 0 <= withhold <= there - start:
        what = f"the labels of {withhold} weeks were to be withheld, {there - start} weeks are played"
        raise Unfit(what, f"Set WITHHOLD to 0 or more, at most {there - start}.")


def open_home(
    where: Settings, tree: Path, weeks: int, *, withhold: int = 0, running: bool, out: progress.Progress
) -> Demo:
    """Decide between fresh and resumed, say which, and clear what a fresh start may clear.

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
    out.doing("making the origin and starting the stack")
    initialise(tree)
    control.start(where.home, tree)
    health.wait_healthy(where.home, _HEALTHY_SECONDS, out.doing)


def _play(
    demo: Demo, wanted: Params, where: Settings, weeks: Sequence[flights.Week], out: progress.Progress
) -> Demo:
    addresses = control.addresses(where.home)
    out.say(control.status(where.home))
    told = {
        "Airflow": f"{addresses.airflow} (user admin, password in {addresses.passwords})",
        "MLflow": addresses.mlflow,
        "Model service": addresses.service,
    }
    airflow, client = airflow_api.connect(where.home), Client(addresses.service, wanted)
    return through(demo, wanted, where, weeks, out, airflow=airflow, client=client, addresses=told)


def through(
    demo: Demo,
    wanted: Params,
    where: Settings,
    weeks: Sequence[flights.Week],
    out: progress.Progress,
    *,
    airflow: AirflowApi,
    client: Client,
    addresses: Mapping[str, str],
) -> Demo:
    """Play the weeks through an Airflow and a service that run, compare, and write the page; errors as `Player.play`."""
    begun, ledger = time.monotonic(), Ledger(where.ledger)
    watch = Watch(airflow, where.home, out)
    for name in watch.clear_failed():
        out.say(f"Cleared what had failed: {name}")
    player = Player(demo=demo, params=wanted, where=where, ledger=ledger, client=client, watch=watch, out=out)
    demo = player.play(weeks)
    demo = replace(
        demo,
        finished=True,
        scorecard=_compare(demo, wanted, where, ledger, out.doing),
        tasks=watch.task_times(demo.started_at),
        addresses={
            **addresses,
            "Logs": str(where.home / "logs"),
            "This page, as data": str(where.home / records.MARKER),
        },
        seconds=demo.seconds + time.monotonic() - begun,
    )
    records.save(where.home, demo)
    (where.home / resume.PAGE).write_text(page(demo), encoding="utf-8")
    return demo


def _compare(
    demo: Demo, wanted: Params, where: Settings, ledger: Ledger, tell: Callable[[str], None]
) -> tuple[Line, ...]:
    from trimtab.origin.origin import Origin

    origin, model = Origin(where), wanted.model.name
    batches = [
        Batch(
            name=record.manifest.batch,
            end=record.manifest.end,
            rows=origin.fetch_batch(record.manifest.batch, md5=record.md5, commit=record.commit),
            served=read_served(where.home, record.manifest.batch),
        )
        for record in ledger.batches(model)
    ]
    return scorecard(
        batches,
        _recipe(demo.first, ledger, model),
        wanted,
        retrainings=sum(len(week.retrained) for week in demo.played),
        promotions=sum(len(week.promoted) for week in demo.played),
        tell=tell,
    )


def _recipe(first: First | None, ledger: Ledger, model: str) -> Recipe:
    version = first.answer.version if first is not None else None
    record = ledger.versions(model)[str(version)]
    judged = ledger.versions(model)[record.refit_of] if record.refit_of else record
    judgement = ledger.judgement_of(model, judged.run_key)
    if judgement is None:
        raise ValueError(f"Version {version} was never judged")
    return Recipe(batches=[ref.batch for ref in record.training.batches], cutoff=judgement.event_time)


def tell_figures(demo: Demo, where: Settings, out: progress.Progress) -> None:
    """Print how long it took, the scorecard, and where to look."""
    out.say(f"\n{progress.timing(demo)}\n\n{progress.scorecard_table(demo.scorecard)}\n")
    out.say(
        f"Page: {where.home / resume.PAGE}   Figures: {where.home / records.MARKER}   Logs: {where.home / 'logs'}"
    )
