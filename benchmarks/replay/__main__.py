"""`python -m benchmarks.replay`: replay your batches, or a generated stream, through several retraining policies."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from trimtab import settings
from trimtab.errors import TrimtabError

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def _check_windows(windows: list[str] | None) -> list[str] | None:
    for window in windows or []:
        if window != "all" and not (window.isdecimal() and int(window)):
            raise typer.BadParameter(f"expected all or a number of batches, got {window!r}")
    return windows


@app.command()
def replay(
    *,
    window: Annotated[
        list[str] | None,
        typer.Option(
            callback=_check_windows,
            help="Training window: all, or a number of batches. Repeat for a race.",
            show_default="all and 8",
        ),
    ] = None,
    regret: Annotated[
        float, typer.Option(min=0, help="Regret that asks for a deployment, as a share of a batch's loss.")
    ] = 0.03,
    max_age: Annotated[
        int, typer.Option(min=1, help="Age in batches at which the champion is replaced anyway.")
    ] = 8,
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
        int | None, typer.Option(min=1, help="Processes.", show_default="one per processor")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the results and the fitted models.", show_default="replay/ in the home folder"
        ),
    ] = None,
) -> None:
    """Replay the batches through this and other retraining policies, and compare what they lose.

    Fitted models are kept, so a replay that was stopped goes on from there.
    """
    from benchmarks.replay import run
    from benchmarks.replay.streams import Stream

    with typer.progressbar(length=1, label="Fit and score models", file=sys.stderr) as bar:

        def report(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        try:
            summary = run.replay(
                out or settings.read().home / "replay",
                windows=window or ["all", "8"],
                regret=regret,
                max_age_batches=max_age,
                delay=delay,
                jobs=jobs or os.cpu_count() or 1,
                stream=None if stream is None else Stream(kind=stream, seed=seed),
                with_recommendation=recommend,
                report=report,
            )
        except TrimtabError as error:
            typer.echo(f"{type(error).__name__}: {error}", err=True)
            raise typer.Exit(1) from error
    typer.echo(summary)


if __name__ == "__main__":
    app(prog_name="python -m benchmarks.replay")
