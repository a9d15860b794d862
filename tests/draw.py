"""`python -m tests.draw SEED`: draw ten functions, ten sentences of the docs and ten help texts, to read them as a stranger."""

import ast
import random
import re
import sys
from pathlib import Path

import click
import typer

from trimtab.cli import app

COUNT = 10
CODE = ("src", "plugins", "dags", "examples")


def functions(root: Path) -> list[str]:
    """Return the source of every function, after the name of its file and its line."""
    sources = []
    for path in sorted(path for folder in CODE for path in (root / folder).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        sources += [
            f"{path.relative_to(root)}:{node.lineno}\n{ast.get_source_segment(text, node)}"
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef)
        ]
    return sources


def sentences(root: Path) -> list[str]:
    """Return every sentence of README, CONTRIBUTING and docs, after the name of its page."""
    pages = [root / "README.md", root / "CONTRIBUTING.md", *sorted((root / "docs").rglob("*.md"))]
    return [
        f"{page.relative_to(root)}: {sentence}"
        for page in pages
        for paragraph in re.split(
            r"\n\n|\n *(?:-|\d+\.) ",
            re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL),
        )
        if not paragraph.lstrip().startswith(("|", "#", "<", "    "))
        for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z`])", " ".join(paragraph.split()))
        if sentence.endswith(".")
    ]


def help_texts(command: click.Command, name: str = "trimtab") -> list[str]:
    """Return the help of every command, argument and option."""
    texts = [f"{name}: {command.help}"] if command.help else []
    for parameter in command.params:
        text = getattr(parameter, "help", None)
        texts += [f"{name} {'/'.join(parameter.opts)}: {text}"] if text else []
    for verb, child in getattr(command, "commands", {}).items():
        texts += help_texts(child, f"{name} {verb}")
    return texts


def main(seed: str) -> None:
    """Print what was drawn."""
    root, chance = Path(__file__).parents[1], random.Random(seed)
    for items in (functions(root), sentences(root), help_texts(typer.main.get_command(app))):
        print("\n\n".join(chance.sample(sorted(items), COUNT)), end="\n\n\n")


if __name__ == "__main__":
    main(sys.argv[1])
