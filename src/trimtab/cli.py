"""The `trimtab` command, for operators, DVC, the MLflow Project, Airflow and CI.

Each command imports what it needs when it runs, so that help and completion stay quick.
"""

import gc
import getpass
import json
import logging
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from trimtab import __version__, redaction, settings
from trimtab.errors import TrimtabError

if TYPE_CHECKING:
    from trimtab.contracts import OrderVerb
    from trimtab.views.history import Entry

_HEALTHY_SECONDS = 240.0

Actor = Annotated[
    str,
    typer.Option(
        "--by", default_factory=getpass.getuser, show_default="your login name", help="Who gives the order."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be deleted, and delete nothing.")]
Folder = Annotated[Path, typer.Argument(help="Folder that a workflow hands over as an artifact.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
QuarantineEntry = Annotated[str, typer.Argument(help="Name of the entry in quarantine.")]
Reason = Annotated[str, typer.Option(help="Why. It is recorded in the ledger.")]
Version = Annotated[str, typer.Argument(help="Version of the model in MLflow.")]


class _ReportingErrors(TyperGroup):
    """The commands; each ends with one line on standard error and exit status 1 when it raises a `TrimtabError`."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except TrimtabError as error:
            typer.echo(f"{type(error).__name__}: {error}", err=True)
            raise typer.Exit(1) from error


def _print(result: object, **_: object) -> None:
    """Print what a command returns: text as it is, anything else as JSON."""
    if result is not None:
        print(
            redaction.redact(result if isinstance(result, str) else json.dumps(result, indent=2, default=str))
        )


def _group(name: str, text: str, parent: typer.Typer) -> typer.Typer:
    group = typer.Typer(no_args_is_help=True)
    parent.add_typer(group, name=name, help=text)
    return group


app = typer.Typer(
    name="trimtab",
    cls=_ReportingErrors,
    result_callback=_print,
    no_args_is_help=True,
    rich_markup_mode=None,  # rich would double the time that help takes
    pretty_exceptions_enable=False,
)
batch = _group("batch", "Ingest batches, and decide about data in quarantine.", app)
quarantine = _group("quarantine", "Inspect, release or drop data that was refused.", batch)
model = _group("model", "Explain, reproduce, promote, roll back, pin and block versions.", app)
loop = _group("loop", "Pause, resume, repair and measure the retraining loop.", app)
ops = _group("ops", "Back up, restore, clean up, erase and check the stores.", app)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _start(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Keep a tabular model in production up to date, and explain each decision."""
    # Imports allocate many objects and leave no garbage; searching for it takes a tenth of a short command.
    gc.set_threshold(100_000)
    if settings.read().ends_with_stdin:
        threading.Thread(target=_exit_with_stdin, daemon=True).start()
    redaction.install()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _exit_with_stdin() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)  # the retry of a killed task must not run beside its first attempt


def _check_windows(windows: list[str] | None) -> list[str] | None:
    for window in windows or []:
        if window != "all" and not (window.isdecimal() and int(window)):
            raise typer.BadParameter(f"expected all or a number of batches, got {window!r}")
    return windows


def _processors() -> int:
    return os.cpu_count() or 1


@app.command()
def init() -> str:
    """Create the origin from this working tree, and the ledger."""
    from trimtab.loop.initialise import initialise

    initialise(Path())
    return f"The origin is at {settings.read().origin}"


@app.command()
def up() -> str:
    """Start Airflow, MLflow and the model service on this machine."""
    from trimtab.loop.initialise import initialise
    from trimtab.stack import control

    home = settings.read().home
    initialise(Path())
    control.start(home)
    control.wait_healthy(home, timeout=_HEALTHY_SECONDS)
    return control.status(home)


@app.command()
def down() -> str:
    """Stop what `trimtab up` started."""
    from trimtab.stack import control

    control.stop(settings.read().home)
    return "Stopped."


@app.command()
def status() -> str:
    """Print which processes run on this machine, and their addresses."""
    from trimtab.stack import control

    return control.status(settings.read().home)


@app.command()
def replay(
    *,
    window: Annotated[
        list[str] | None,
        typer.Option(
            callback=_check_windows,
            help="Training window: all, or a number of batches. Repeat for a race.",
            show_default="train.windows",
        ),
    ] = None,
    regret: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Regret that asks for a deployment, as a share of a batch's loss.",
            show_default="trigger.regret",
        ),
    ] = None,
    max_age: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Age in batches at which the champion is replaced anyway.",
            show_default="trigger.max_age_batches",
        ),
    ] = None,
    delay: Annotated[int, typer.Option(min=0, help="Batches by which labels are late.")] = 0,
    stream: Annotated[
        Literal["abrupt", "gradual", "recurring", "covariate", "none"] | None,
        typer.Option(help="Replay a generated stream with this kind of drift instead."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the generated stream.")] = 0,
    recommend: Annotated[
        bool, typer.Option("--recommend", help="Try other settings, and recommend one if it is better.")
    ] = False,
    jobs: Annotated[
        int,
        typer.Option(min=1, default_factory=_processors, help="Processes.", show_default="one per processor"),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the results and the fitted models.", show_default="replay/ in the home folder"
        ),
    ] = None,
) -> str:
    """Compare retraining policies on your batches: what would each have lost?

    Fitted models are kept, so a replay that was stopped goes on from there.
    """
    from trimtab.replay import run
    from trimtab.replay.streams import Stream

    with typer.progressbar(length=1, label="Fit and score models", file=sys.stderr) as bar:

        def report(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        return run.replay(
            out or settings.read().home / "replay",
            windows=window,
            regret=regret,
            max_age_batches=max_age,
            delay=delay,
            jobs=jobs,
            stream=None if stream is None else Stream(kind=stream, seed=seed),
            with_recommendation=recommend,
            report=report,
        )


@batch.command()
def ingest(
    batches: Annotated[
        list[str] | None, typer.Argument(help="Batch ids. By default all that have landed.")
    ] = None,
) -> dict[str, Any]:
    """Ingest landed batches, and print the outcome of each."""
    from trimtab.loop.ingest import ingest, list_landed

    return {batch_id: ingest(batch_id)["outcome"] for batch_id in batches or list_landed()}


@quarantine.command("list")
def list_quarantine() -> str:
    """List the entries in quarantine, each with its reason."""
    from trimtab.loop import quarantine

    return quarantine.table() or "Nothing is in quarantine."


@quarantine.command()
def show(entry: QuarantineEntry) -> str:
    """Show why an entry was refused, its original file and first rows."""
    from trimtab.loop import quarantine

    return quarantine.show(entry)


@quarantine.command()
def release(entry: QuarantineEntry, *, reason: Reason, by: Actor) -> str:
    """Ingest an entry as it is, as a new revision of its batch."""
    from trimtab.loop import quarantine

    return quarantine.release(entry, actor=by, reason=reason)


@quarantine.command()
def drop(entry: QuarantineEntry, *, reason: Reason, by: Actor) -> str:
    """Delete an entry. The ledger records who did it, and why."""
    from trimtab.loop import quarantine

    return quarantine.drop(entry, actor=by, reason=reason)


@model.command()
def history(
    last: Annotated[int | None, typer.Option(help="Show this many of the newest entries only.")] = None,
    as_json: Json = False,
) -> object:
    """Show what happened, oldest first.

    The entries are requests and answers, questions, deployments, orders, and refused or erased data.
    """
    from trimtab.views.history import history

    return _entries(history(last), as_json)


@model.command()
def why(
    name: Annotated[str, typer.Argument(help="A version or a batch id.")], as_json: Json = False
) -> object:
    """Show all that the ledger records about a version or a batch."""
    from trimtab.views.history import why

    return _entries(why(name), as_json)


@model.command()
def live_at(
    time: Annotated[datetime, typer.Argument(help="ISO 8601; UTC unless it has an offset.")],
    event_time: Annotated[
        bool, typer.Option("--event-time", help="Read the time as one of the data, not of the system clock.")
    ] = False,
    as_json: Json = False,
) -> object:
    """Show which version was in Production at a given time."""
    from trimtab.views.history import live_at

    return _entries(live_at(time if time.tzinfo else time.replace(tzinfo=UTC), event=event_time), as_json)


def _entries(entries: "Sequence[Entry]", as_json: bool) -> object:
    from trimtab.contracts import plain
    from trimtab.views.history import table

    return [plain(entry) for entry in entries] if as_json else table(entries) or "Nothing yet."


@model.command()
def promote(
    version: Version,
    *,
    force: Annotated[bool, typer.Option("--force", help="Confirm that the gate is bypassed.")],
    reason: Reason,
    by: Actor,
    watch: Annotated[bool, typer.Option("--watch", help="Roll it back if it performs worse.")] = False,
    pin: Annotated[bool, typer.Option("--pin", help="Keep it, however it performs, until `unpin`.")] = False,
) -> str:
    """Move a version to Production without the gate's approval.

    Give either --watch or --pin.
    """
    from trimtab.loop import orders

    if watch == pin:
        raise typer.BadParameter("Give either --watch or --pin.")
    return orders.promote(version, pin=pin, actor=by, reason=reason)


@model.command()
def rollback(
    version: Annotated[
        str | None, typer.Argument(help="Version to serve. By default the previous one.")
    ] = None,
    *,
    reason: Reason,
    by: Actor,
) -> str:
    """Serve an earlier version again and block the current one."""
    from trimtab.loop import orders

    return orders.rollback(version, actor=by, reason=reason)


@model.command()
def pin(
    version: Annotated[
        str | None, typer.Argument(help="Refuse the pin unless this version is in Production.")
    ] = None,
    *,
    reason: Reason,
    by: Actor,
) -> str:
    """Keep the current version until `unpin`: promote and roll back nothing."""
    return _order("pin", version, by, reason)


@model.command()
def unpin(*, reason: Reason, by: Actor) -> str:
    """Allow promotions and rollbacks again."""
    return _order("unpin", None, by, reason)


@model.command()
def block(version: Version, *, reason: Reason, by: Actor) -> str:
    """Keep a version out of Production until `unblock`."""
    return _order("block", version, by, reason)


@model.command()
def unblock(version: Version, *, reason: Reason, by: Actor) -> str:
    """Allow a blocked version in Production again."""
    return _order("unblock", version, by, reason)


@model.command()
def adopt(
    recipe: Annotated[int, typer.Argument(help="Number of the recipe, see `trimtab model history`.")],
    *,
    reason: Reason,
    by: Actor,
) -> str:
    """Let a recipe lead without the proof of a trial.

    Its models are deployed as soon as the policy or a person asks for a deployment.
    """
    from trimtab.loop import orders

    return orders.adopt(recipe, actor=by, reason=reason)


@model.command()
def reproduce(
    version: Version,
    *,
    env_manager: Annotated[
        Literal["local", "virtualenv", "uv"] | None,
        typer.Option(
            help="Environment to train in; virtualenv and uv create a clean one.",
            show_default="train.env_manager at the version's commit",
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Largest difference of a prediction that counts as equal.")
    ] = 1e-9,
) -> None:
    """Train a version again from its recorded commit and batches, and compare the two models.

    The exit status is 1 if they differ. This registers and deploys nothing.
    """
    from trimtab.ops.reproduce import reproduce

    result = reproduce(version, env_manager=env_manager, tolerance=tolerance)
    _print(str(result))
    raise typer.Exit(not result.equal)


@loop.command()
def pause(*, reason: Reason, by: Actor) -> str:
    """Start no runs until `resume`. Runs in progress finish."""
    return _order("pause", None, by, reason)


@loop.command()
def resume(*, reason: Reason, by: Actor) -> str:
    """Start runs again after `pause`."""
    return _order("resume", None, by, reason)


def _order(verb: "OrderVerb", version: str | None, actor: str, reason: str) -> str:
    from trimtab.loop import orders

    return orders.order(verb, version=version, actor=actor, reason=reason)


@loop.command()
def reconcile() -> dict[str, Any]:
    """Make the ledger and MLflow agree again after a crash."""
    from trimtab.loop.reconcile import reconcile

    return reconcile()


@loop.command()
def metrics() -> str:
    """Print the metrics of the loop in Prometheus' text format."""
    from trimtab.views.prometheus import exposition

    return exposition().decode().rstrip("\n")


@ops.command()
def backup(
    dest: Annotated[
        Path, typer.Argument(help="Folder of the backups; each is a folder in it, named by time.")
    ],
    keep: Annotated[int | None, typer.Option(help="Delete complete backups except this many newest.")] = None,
) -> str:
    """Copy all five stores, consistent with each other, while the loop runs."""
    from trimtab.ops.backup import backup

    taken = backup(dest, keep=keep)
    removed = f"; removed {', '.join(taken.removed)}" if taken.removed else ""
    return f"{taken.folder}: {json.dumps(taken.counts)}{removed}"


@ops.command()
def restore(
    source: Annotated[Path, typer.Argument(help="A folder that `trimtab ops backup` made.")],
) -> dict[str, Any]:
    """Fill empty stores from a backup."""
    from trimtab.ops.restore import restore

    return restore(source)


@ops.command("gc")
def collect_garbage(
    dry_run: DryRun = False,
    older_than_hours: Annotated[
        float, typer.Option(help="Keep younger data, which an ingest in progress may have written.")
    ] = 24.0,
) -> dict[str, Any]:
    """Delete data that nothing refers to any more, and what killed runs left behind."""
    from trimtab.ops.gc import collect

    return asdict(collect(older_than_hours=older_than_hours, dry_run=dry_run))


@ops.command()
def erase(
    rows: Annotated[list[str], typer.Argument(help="Ids of the rows to erase.")],
    *,
    reason: Reason,
    by: Actor,
    dry_run: DryRun = False,
) -> dict[str, Any]:
    """Erase rows from every store, for legal reasons."""
    from trimtab.ops.erasure.erase import erase_rows

    return asdict(erase_rows(rows, actor=by, reason=reason, dry_run=dry_run))


@ops.command()
def doctor(as_json: Json = False) -> None:
    """Check the stores, the services, their versions and this machine."""
    from trimtab.ops.doctor import examine

    findings = examine()
    _print([asdict(finding) for finding in findings] if as_json else "\n".join(map(str, findings)))
    raise typer.Exit(any(finding.state == "fail" for finding in findings))


@app.command(hidden=True)
def plan() -> str:
    """Write run.yaml in this checkout: the models to fit, and the batches to score them on."""
    from trimtab.project.plan import plan

    made = plan()
    return f"run.yaml: fit {len(made.fits)} models, score them on {len(made.scored)} batches"


@app.command(hidden=True)
def prepare() -> None:
    """Collect the rows of the planned batches in this checkout."""
    from trimtab.project.prepare import prepare

    prepare()


@app.command(hidden=True)
def train() -> str:
    """Fit the planned models in this checkout."""
    from trimtab.project.train import train

    fitted = train()
    return f"Fitted {sum(each.training is not None for each in fitted)} of {len(fitted)} models"


@app.command(hidden=True)
def evaluate() -> str:
    """Score the models in this checkout on batches that they were not trained on."""
    from trimtab.project.evaluate import evaluate

    scores = evaluate().scores
    return f"Scored {sum(map(len, scores.values()))} models on {len(scores)} batches"


@app.command(hidden=True)
def measure() -> str:
    """Prepare, train and evaluate in one process."""
    prepare()
    return f"{train()}. {evaluate()}"


@app.command(hidden=True)
def champion() -> str:
    """Write the version in Production to champion.yaml."""
    from trimtab.project.champion import champion

    current = champion()
    return f"champion.yaml names {f'version {current.version}' if current else 'the baseline'}"


@app.command(hidden=True)
def comment(folder: Folder) -> str:
    """Comment on a pull request how its model compares with the one in Production."""
    from trimtab.review.comment import comment

    return comment(folder)


@app.command(hidden=True)
def production(folder: Folder) -> str:
    """Collect what the model of a pull request is compared with."""
    from trimtab.review.production import production

    return production(folder)
