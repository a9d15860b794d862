"""`make demo`: plays weeks of flights through the whole loop."""

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from trimtab import redaction
from trimtab.errors import TrimtabError

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def play(
    weeks: Annotated[int, typer.Option(help="Number of weeks to play; the year has 53.")] = 20,
    withhold: Annotated[
        int,
        typer.Option(
            help="Deliver the labels of this many weeks after the first champion late, all at once."
        ),
    ] = 0,
    on_deployed: Annotated[
        bool,
        typer.Option(
            "--deployed", help="Use the running system at TRIMTAB_AIRFLOW_URL and TRIMTAB_SERVICE_URL."
        ),
    ] = False,
) -> None:
    """Play weeks of flights through the whole loop.

    The demo stops what it started. Its home stays for inspection until the next fresh start.
    """
    redaction.install()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from examples.flights import demo, deployed

    try:
        raise typer.Exit(deployed.play(weeks, Path()) if on_deployed else demo.play(weeks, Path(), withhold))
    except TrimtabError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    app(prog_name="python -m examples.flights")
