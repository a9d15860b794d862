"""The command line itself; what each command does is tested with its package."""

import re

import pytest

from tests.support.commands import trimtab
from trimtab import __version__


def test_alone_it_prints_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    trimtab()
    commands = re.findall(r"^  ([a-z]+) ", capsys.readouterr().err, re.MULTILINE)
    assert commands[-9:] == ["init", "up", "down", "status", "replay", "batch", "model", "loop", "ops"]


def test_a_misspelt_command_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert trimtab("model", "rolback") == 2
    assert "No such command 'rolback'. Did you mean 'rollback'?" in capsys.readouterr().err


@pytest.mark.parametrize("then", [[], ["--watch", "--pin"]])
def test_a_forced_promotion_is_either_watched_or_pinned(
    then: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert trimtab("model", "promote", "3", "--force", "--reason", "launch", *then) == 2
    assert "Give either --watch or --pin." in capsys.readouterr().err


def test_an_order_needs_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert trimtab("loop", "pause") == 2
    assert "Missing option '--reason'" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert trimtab("--version") == 0
    assert capsys.readouterr().out == f"{__version__}\n"
