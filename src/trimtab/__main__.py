"""`trimtab`: one verb a step; what a person, DVC, the MLflow Project and Airflow all call."""

import argparse
import gc
import getpass
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trimtab import __version__, redaction
from trimtab.errors import TrimtabError, Unknown

_HEALTHY_SECONDS = 240.0

Verb = Callable[[argparse.Namespace], object]


def _init(_: argparse.Namespace) -> str:
    from trimtab import stores
    from trimtab.loop.initialise import initialise

    initialise(Path())
    return f"The origin is at {stores.from_environment().origin}"


def _plan(_: argparse.Namespace) -> str:
    from trimtab.project.plan import plan

    made = plan()
    return f"run.yaml: train on {len(made.train)} batches, judge on {len(made.judge)}"


def _prepare(_: argparse.Namespace) -> None:
    from trimtab.project.prepare import prepare

    prepare()


def _train(_: argparse.Namespace) -> str:
    from trimtab.project.train import train

    training = train()
    return f"Trained on {training.rows} rows in {training.seconds:.1f} s"


def _evaluate(_: argparse.Namespace) -> str:
    from trimtab.project.evaluate import evaluate

    return evaluate().reason


def _refit(_: argparse.Namespace) -> str:
    from trimtab.project.refit import refit

    return refit().reason


def _champion(_: argparse.Namespace) -> str:
    from trimtab.project.champion import champion

    found = champion()
    return f"champion.yaml names {'version ' + found.version if found else 'no version: the baseline plays champion'}"


def _ingest(wanted: argparse.Namespace) -> dict[str, Any]:
    from trimtab.loop.ingest import ingest, list_landed

    batches = wanted.batch or list_landed()
    return {batch: ingest(batch)["outcome"] for batch in batches}


def _reconcile(_: argparse.Namespace) -> dict[str, Any]:
    from trimtab.loop.reconcile import reconcile

    return reconcile()


def _quarantine(wanted: argparse.Namespace) -> object:
    from trimtab.loop import quarantine

    if wanted.action == "list":
        return quarantine.table() or "Nothing is in quarantine."
    if wanted.action == "show":
        return quarantine.show(wanted.name)
    act = quarantine.release if wanted.action == "release" else quarantine.drop
    return act(wanted.name, actor=wanted.by, reason=wanted.reason)


def _view(wanted: argparse.Namespace) -> object:
    from trimtab.views import history

    found = {
        "history": lambda: history.history(wanted.last),
        "live-at": lambda: history.live_at(_time(wanted.time), event=wanted.event_time),
        "why": lambda: history.why(wanted.name),
    }[wanted.verb]()
    if wanted.json:
        return history.plain_entries(found)
    return history.table(found) or "Nothing yet."


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise Unknown("a time in ISO 8601, such as 2026-01-05T12:00+01:00", text) from error
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _order(wanted: argparse.Namespace) -> str:
    from trimtab.loop import orders

    who = {"actor": wanted.by, "reason": wanted.reason}
    if wanted.verb == "promote":
        return orders.promote(wanted.version, pin=wanted.pin, **who)
    if wanted.verb == "rollback":
        return orders.rollback(wanted.version, **who)
    return orders.order(wanted.verb, version=getattr(wanted, "version", None), **who)


def _up(_: argparse.Namespace) -> str:
    from trimtab import stores
    from trimtab.loop.initialise import initialise
    from trimtab.stack import control

    initialise(Path())
    control.start(stores.from_environment().home)
    print("Waiting for Airflow, MLflow and the service ...", file=sys.stderr)
    control.wait_healthy(stores.from_environment().home, timeout=_HEALTHY_SECONDS)
    return str(control.status(stores.from_environment().home))


def _down(_: argparse.Namespace) -> str:
    from trimtab import stores
    from trimtab.stack import control

    control.stop(stores.from_environment().home)
    return "Stopped."


def _status(_: argparse.Namespace) -> str:
    from trimtab import stores
    from trimtab.stack import control

    return str(control.status(stores.from_environment().home))


def _metrics(_: argparse.Namespace) -> str:
    from trimtab.views.prometheus import exposition

    return exposition().decode().rstrip("\n")


def _comment(wanted: argparse.Namespace) -> str:
    from trimtab.review.comment import comment

    return comment(wanted.folder)


def _production(wanted: argparse.Namespace) -> str:
    from trimtab.review.production import production

    return production(wanted.folder)


def _doctor(wanted: argparse.Namespace) -> int:
    from dataclasses import asdict

    from trimtab.ops.doctor import examine

    found = examine()
    print(json.dumps([asdict(one) for one in found], indent=2) if wanted.json else "\n".join(map(str, found)))
    return int(any(one.state == "fail" for one in found))


def _backup(wanted: argparse.Namespace) -> str:
    from trimtab.ops.backup import backup

    taken = backup(wanted.dest, keep=wanted.keep)
    gone = f"; removed {', '.join(taken.removed)}" if taken.removed else ""
    return f"{taken.folder}: {json.dumps(taken.counts)}{gone}"


def _restore(wanted: argparse.Namespace) -> dict[str, Any]:
    from trimtab.ops.restore import restore

    return restore(wanted.source)


def _gc(wanted: argparse.Namespace) -> dict[str, Any]:
    from dataclasses import asdict

    from trimtab.ops.gc import collect

    return asdict(collect(older_than_hours=wanted.older_than_hours, dry_run=wanted.dry_run))


def _forget(wanted: argparse.Namespace) -> dict[str, Any]:
    from dataclasses import asdict

    from trimtab.ops.erasure.forget import forget

    return asdict(forget(wanted.row, actor=wanted.by, reason=wanted.reason, dry_run=wanted.dry_run))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="trimtab", description="The retraining loop under a tabular model.")
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    plain: dict[str, tuple[Verb, str]] = {
        "init": (_init, "make the origin from this working tree, and the ledger"),
        "up": (_up, "start Airflow, MLflow and the service on this machine, to stay up"),
        "down": (_down, "stop what `up` started"),
        "status": (_status, "print the addresses, and what runs"),
        "plan": (_plan, "write run.yaml in this checkout"),
        "prepare": (_prepare, "collect the planned batches in this checkout"),
        "train": (_train, "train in this checkout"),
        "evaluate": (_evaluate, "judge challenger against champion in this checkout"),
        "refit": (_refit, "fit a promoted recipe again through the newest batch, in this checkout"),
        "champion": (_champion, "write champion.yaml from the registry"),
        "metrics": (_metrics, "print the loop's figures for Prometheus, as the Airflow server shows them"),
        "reconcile": (_reconcile, "mend what a crash left between ledger, stages and aliases"),
    }
    for name, (verb, text) in plain.items():
        verbs.add_parser(name, help=text, description=text).set_defaults(run=verb)
    ingest = verbs.add_parser("ingest", help="take landed batches in", description="Take landed batches in.")
    ingest.add_argument("batch", nargs="*", help="batch ids; all that landed when none is given")
    ingest.set_defaults(run=_ingest)
    for name, verb, text in (
        ("comment", _comment, "say on a pull request how its model does, from the artifact in a folder"),
        ("production", _production, "collect in a folder what a pull request's model is compared with"),
    ):
        review = verbs.add_parser(name, help=text, description=text)
        review.add_argument("folder", type=Path)
        review.set_defaults(run=verb)

    doctor = verbs.add_parser(
        "doctor", help="look at stores, services, versions and this machine", description="Look."
    )
    doctor.add_argument("--json", action="store_true", help="for programs")
    doctor.set_defaults(run=_doctor)
    _add_quarantine(verbs.add_parser("quarantine", help="what was refused, and why"))
    _add_orders(verbs)
    _add_views(verbs)
    _add_keeping(verbs)
    return parser


def _add_keeping(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    backup = verbs.add_parser(
        "backup", help="copy all five stores to one consistent cut", description="Back up."
    )
    backup.add_argument(
        "dest", type=Path, help="folder of the backups; each is a folder in it, named by its time"
    )
    backup.add_argument(
        "--keep", type=int, default=None, metavar="N", help="remove all whole ones but the newest N"
    )
    backup.set_defaults(run=_backup)
    restore = verbs.add_parser("restore", help="fill empty stores from a backup", description="Restore.")
    restore.add_argument("source", type=Path, help="a folder that `trimtab backup` made")
    restore.set_defaults(run=_restore)
    text = "remove data that nothing names any more, and what killed runs left"
    gc = verbs.add_parser("gc", help=text, description=text)
    gc.add_argument("--dry-run", action="store_true", help="say what would go, and remove nothing")
    gc.add_argument(
        "--older-than-hours",
        type=float,
        default=24.0,
        metavar="H",
        help="what is younger stays, for an ingest in flight may have written it (24)",
    )
    gc.set_defaults(run=_gc)
    text = "erase rows from every store, for legal reasons"
    forget = verbs.add_parser("forget", help=text, description=text)
    forget.add_argument("row", nargs="+", help="row ids")
    forget.add_argument("--dry-run", action="store_true", help="say what would go, and change nothing")
    _add_who(forget)
    forget.set_defaults(run=_forget)


def _add_views(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    history = verbs.add_parser("history", help="what happened, oldest first", description="What happened.")
    history.add_argument("--last", type=int, default=None, help="the newest so many only")
    live = verbs.add_parser("live-at", help="which version was live at a time", description="What was live.")
    live.add_argument("time", help="ISO 8601, UTC unless it says otherwise")
    live.add_argument("--event-time", action="store_true", help="the time is of the data, not of the machine")
    why = verbs.add_parser("why", help="all that is known of a version or a batch", description="Why.")
    why.add_argument("name", help="a version or a batch id")
    for one in (history, live, why):
        one.add_argument("--json", action="store_true", help="for programs")
        one.set_defaults(run=_view)


def _add_orders(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    orders = {
        "pause": (None, "start nothing until `resume`; what is in flight ends"),
        "resume": (None, "go on after `pause`"),
        "pin": ("?", "promote and roll back nothing until `unpin`; the version must be in Production"),
        "unpin": (None, "end a pin"),
        "block": (1, "never let a version go to Production until `unblock`"),
        "unblock": (1, "end a block"),
        "promote": (1, "move a version to Production past the gate"),
        "rollback": ("?", "go back to a version that was in Production; the one before when none is named"),
    }
    for verb, (versions, text) in orders.items():
        one = verbs.add_parser(verb, help=text, description=text)
        if versions is not None:
            one.add_argument("version", nargs="?" if versions == "?" else None)
        if verb == "promote":
            one.add_argument(
                "--force", action="store_true", required=True, help="say that the gate is passed by"
            )
            then = one.add_mutually_exclusive_group(required=True)
            then.add_argument("--watch", action="store_true", help="roll it back when it disappoints")
            then.add_argument("--pin", action="store_true", help="keep it whatever happens, until `unpin`")
        _add_who(one)
        one.set_defaults(run=_order)


def _add_who(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", required=True, help="why; it goes into the ledger")
    parser.add_argument("--by", default=getpass.getuser(), help="who; the login name when not given")


def _add_quarantine(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_quarantine)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="every entry that waits, with its reason")
    actions.add_parser("show", help="one entry, with its first rows").add_argument("name")
    for action, text in {
        "release": "take the entry in as it is, as a new revision",
        "drop": "give the entry up",
    }.items():
        one = actions.add_parser(action, help=text)
        one.add_argument("name")
        _add_who(one)


def _end_with_stdin() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)  # a killed task's next try must not meet its first one


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; the exit status is 0, 1 for an error that trimtab explains."""
    # Imports make many objects and no garbage; to look for it takes a tenth of a short verb.
    gc.set_threshold(100_000)
    os.environ.setdefault("DO_NOT_TRACK", "1")
    if "TRIMTAB_ENDS_WITH_STDIN" in os.environ:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    redaction.install()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    wanted = _parser().parse_args(arguments)
    try:
        result = wanted.run(wanted)
    except TrimtabError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    if isinstance(result, int):
        return result
    if result is not None:
        print(
            redaction.redact(result if isinstance(result, str) else json.dumps(result, indent=2, default=str))
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
