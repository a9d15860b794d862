"""Write the reference pages that are generated from the code: `make docs`."""

import sys
from collections.abc import Iterator
from pathlib import Path

import typer
from typer.core import TyperGroup
from typer.main import get_command

from trimtab.cli import app

_COMMANDS = """\
# Commands

`make docs` generates this page from `trimtab --help`. `trimtab --install-completion` sets up completion in your shell.

A command that fails prints `ErrorName: sentence` to standard error and exits with status 1; wrong usage exits with status 2.
Logs go to standard error, results to standard output.
"""
_ENTRY_POINTS = """
## Entry points

Called by DVC, the MLflow Project and CI, in a checkout. They are not listed in the help.

| | |
|---|---|
"""


def commands() -> str:
    """Return the page of commands."""
    root = get_command(app)
    assert isinstance(root, TyperGroup)
    sections = _sections(root, typer.Context(root, info_name="trimtab"))
    hidden = [
        f"| `trimtab {name}` | {command.help} |\n"
        for name, command in root.commands.items()
        if command.hidden
    ]
    return _COMMANDS + "".join(sections) + _ENTRY_POINTS + "".join(hidden)


def _sections(group: TyperGroup, context: typer.Context) -> Iterator[str]:
    yield f"\n## `{context.command_path}`\n\n{group.help}\n"
    for name, command in group.commands.items():
        inner = typer.Context(command, info_name=name, parent=context)
        if isinstance(command, TyperGroup):
            yield from _sections(command, inner)
        elif not command.hidden:
            words = [word for word in command.collect_usage_pieces(inner) if word != "[OPTIONS]"]
            yield f"\n### `{' '.join((inner.command_path, *words))}`\n\n{command.help}\n"
            records = [record for parameter in command.params if (record := parameter.get_help_record(inner))]
            rows = [f"| `{names}` | {text.replace('  [', ' [')} |\n" for names, text in records]
            yield "".join(("\n| | |\n|---|---|\n", *rows)) if rows else ""


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "commands.md").write_text(commands(), encoding="utf-8")
