"""The checker of words finds what it is there for, and nothing else."""

import subprocess
from pathlib import Path

import pytest

from tests.words import NAMES, bad_names, bad_phrases, faults


@pytest.mark.parametrize(
    "source",
    [
        "for {} in (1, 2): pass",
        "{} = 1",
        "{}: int = 1",
        "_{} = 1",
        "self.{} = 1",
        "def {}(): pass",
        "async def {}(): pass",
        "def f({}): pass",
        "def f(*, {}=1): pass",
        "lambda {}: 1",
        "[1 for {} in (1, 2)]",
        "with open('x') as {}: pass",
        "import os as {}",
        "class A:\n    {}: int",
        "if ({} := 1): pass",
        "try: pass\nexcept OSError as {}: pass",
    ],
)
@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_definition_under_a_bad_name_is_reported(source: str, name: str) -> None:
    assert [reported.strip("_") for _, reported in bad_names(source.format(name))] == [name]


@pytest.mark.parametrize("source", ["rows.one()", "print(found)", "oneself = 1", "known_at = 1", "'told'"])
def test_a_longer_name_or_the_use_of_one_is_not_reported(source: str) -> None:
    assert list(bad_names(source)) == []


@pytest.mark.parametrize(
    "text",
    ["Mend it.", "it is mended", "made anew", "what lies in a folder", "Whoever asks", "there is none"],
)
def test_a_phrase_is_reported_with_its_line(text: str) -> None:
    assert [line for line, _ in bad_phrases(f"first\n{text}\n")] == [2]


@pytest.mark.parametrize(
    "text", ["if row is None:", "an amendment", "renewed", "it relies on", "tables are nonempty"]
)
def test_a_likeness_of_a_phrase_is_not_reported(text: str) -> None:
    assert list(bad_phrases(text)) == []


def test_names_and_phrases_of_tracked_files_are_reported_with_their_place(tmp_path: Path) -> None:
    (tmp_path / "new.py").write_text("# mend\none = 1\n")
    subprocess.run("git init -q && git add .", shell=True, cwd=tmp_path, check=True)
    (tmp_path / "untracked.py").write_text("one = 1\n")
    assert [line.split(": ")[:2] for line in faults(tmp_path)] == [
        ["new.py:1", "'mend'"],
        ["new.py:2", "'one'"],
    ]
