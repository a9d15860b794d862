"""The command line: its tree, and commands run in this process."""

from typing import cast

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from trimtab.cli import app

ROOT_COMMAND = cast(TyperGroup, get_command(app))


def trimtab(*words: str) -> int:
    """Run a command and return its exit status."""
    with pytest.raises(SystemExit) as end:
        app(words)
    return int(end.value.code or 0)


def resolves(words: str) -> bool:
    """Whether words begin with a command, or name a group of commands."""
    command = ROOT_COMMAND
    for word in words.split():
        if not isinstance(command, TyperGroup):
            return True
        if word not in command.commands:
            return False
        command = cast(TyperGroup, command.commands[word])
    return True
