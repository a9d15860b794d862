"""Keeps private words out of names and prose; `make lint` runs it.

A name says what it holds, and a sentence is understood at the first reading. `docs/glossary.md` has the words to use.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

NAMES = frozenset({"one", "found", "wanted", "told", "known", "kept"})
"""Names that fit any value, so that they say nothing about theirs."""
PHRASES = re.compile(r"\b((?i:mend(?:s|ed|ing)?|anew|whoever)|lies? in|(?:is|are) none)\b")
"""The last two are case-sensitive: `is None` is Python."""
CHECKERS = ("tests/words.py", "tests/contracts/test_words.py")
"""The files that have to name the words."""


def bad_names(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and name of each variable, parameter, function, class or attribute that is defined under a bad name."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case (
                ast.Name(id=name, ctx=ast.Store())
                | ast.Attribute(attr=name, ctx=ast.Store())
                | ast.arg(arg=name)
                | ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
                | ast.alias(asname=str(name))
                | ast.ExceptHandler(name=str(name))
            ) if (name.strip("_") in NAMES):
                yield node.lineno, name


def bad_phrases(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each phrase to avoid."""
    for number, line in enumerate(text.splitlines(), 1):
        for match in PHRASES.finditer(line):
            yield number, match[0]


def faults(root: Path) -> list[str]:
    """Check every text file that git tracks, and return one line per fault."""
    lines: list[str] = []
    tracked = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True)
    for name in tracked.stdout.splitlines():
        path = root / name
        if path.suffix in (".txt", ".json", ".png") or name in CHECKERS or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        bad = [*bad_phrases(text), *(bad_names(text) if path.suffix == ".py" else ())]
        lines += [f"{name}:{line}: {word!r}: say what it is, see docs/glossary.md" for line, word in bad]
    return lines


if __name__ == "__main__":
    sys.exit("\n".join(faults(Path())) or None)
