"""Writes the pages of `docs/reference` that repeat what the code says; `make reference` runs it."""

import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
import yaml
from pydantic import SecretStr
from typer.core import TyperGroup
from typer.main import get_command

from trimtab import params
from trimtab.cli import app
from trimtab.settings import Ports, Settings

ROOT = Path(__file__).parents[1]
_INTRODUCTION = """\
# Parameters

`params.yaml` holds every number that can be tuned. This page is generated from its comments and
from the limits in the code (`make reference`). The values are those of the flights.
[Operate the loop](../how-to/operations.md#change-parameters) says how a change takes effect.
"""


def parameters() -> str:
    """Return `docs/reference/parameters.md`."""
    text = (ROOT / params.FILE).read_text(encoding="utf-8")
    schema = params.Params.model_json_schema()
    lines, sections = text.splitlines(), yaml.compose(text).value
    page = [_INTRODUCTION]
    for key, node in sections:
        if isinstance(node, yaml.MappingNode):
            page += [
                f"## {key.value}",
                "",
                *_paragraph(lines, key),
                *_table(lines, key.value, node, schema),
                "",
            ]
    return "\n".join(page)


def _paragraph(lines: list[str], key: yaml.Node) -> list[str]:
    comment = _comment(lines, key)
    return [*textwrap.wrap(comment, 100), ""] if comment else []


def _table(lines: list[str], section: str, node: yaml.Node, schema: Mapping[str, Any]) -> Iterator[str]:
    yield "| parameter | value | allowed | meaning |"
    yield "|---|---|---|---|"
    fields = schema["$defs"][schema["properties"][section]["$ref"].rpartition("/")[2]]
    for name, value, meaning, field in _leaves(lines, f"{section}.", node, fields, schema):
        shown = f"`{value.value}`" if isinstance(value, yaml.ScalarNode) else "see the file"
        yield f"| `{name}` | {shown} | {_allowed(field)} | {meaning} |"


def _leaves(
    lines: list[str], prefix: str, node: yaml.Node, fields: Mapping[str, Any], schema: Mapping[str, Any]
) -> Iterator[tuple[str, yaml.Node, str, Mapping[str, Any]]]:
    for key, value in node.value:
        field = fields["properties"][key.value]
        if "$ref" in field:
            nested = schema["$defs"][field["$ref"].rpartition("/")[2]]
            yield from _leaves(lines, f"{prefix}{key.value}.", value, nested, schema)
        else:
            yield f"{prefix}{key.value}", value, _comment(lines, key), field


def _comment(lines: list[str], key: yaml.Node) -> str:
    """Return the comment right above a key as one line."""
    first = key.start_mark.line
    while first and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return " ".join(line.strip().lstrip("# ") for line in lines[first : key.start_mark.line])


def _allowed(field: Mapping[str, Any]) -> str:
    """Say in words which values a field of a JSON Schema takes."""
    if "anyOf" in field:
        return " or ".join(filter(None, map(_allowed, field["anyOf"])))
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if field.get("type") == "array":
        return f"list of {_allowed(field['items']) or 'values'}"
    limits = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    words = [f"{word} {field[key]:g}" for key, word in limits.items() if key in field]
    kinds = {"string": "text", "boolean": "true or false", "object": "mapping", "$ref": "mapping"}
    kind = field.get("type", "mapping")
    return ", ".join(filter(None, (kinds.get(kind, kind), " and ".join(words))))


_COMMANDS = """\
# Commands

This page is generated from the help of `trimtab` (`make reference`). `trimtab --install-completion`
sets up completion in your shell.

A command that fails prints `ErrorName: sentence` to standard error and exits with status 1. Wrong
usage exits with status 2. Logs go to standard error, results to standard output.
"""
_ENTRY_POINTS = """
## Entry points

DVC, the MLflow Project and CI call these in a checkout. The help does not list them.

| command | what it does |
|---|---|
"""


def commands() -> str:
    """Return `docs/reference/commands.md`."""
    root = get_command(app)
    assert isinstance(root, TyperGroup)
    sections = _sections(root, typer.Context(root, info_name="trimtab"))
    hidden = {name: command.help for name, command in root.commands.items() if command.hidden}
    rows = (f"| `trimtab {name}` | {text} |\n" for name, text in hidden.items())
    return "".join((_COMMANDS, *sections, _ENTRY_POINTS, *rows))


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
            yield "".join(("\n| parameter | meaning |\n|---|---|\n", *rows)) if rows else ""


_SETTINGS = """\
# Settings

These environment variables say where trimtab runs; `params.yaml` says how it decides. This page is
generated from `src/trimtab/settings.py` (`make reference`). An empty variable counts as unset. A
value that cannot be used stops the command with an error that names the variable.

Where one Airflow runs several models, a file `NAME.env` for each model in `TRIMTAB_MODELS` sets
these variables for that model only ([Scale beyond one machine](../how-to/scaling.md)).

| variable | default | meaning |
|---|---|---|
"""
_PORTS = """
## Ports of the embedded stack

`trimtab up` starts its servers on these ports of the loopback address.

| variable | default | meaning |
|---|---|---|
"""


def settings() -> str:
    """Return `docs/reference/settings.md`."""
    return "".join((_SETTINGS, *_variables(Settings), _PORTS, *_variables(Ports)))


def _variables(group: type[Settings] | type[Ports]) -> Iterator[str]:
    for name, field in group.model_fields.items():
        home = {"home": Path("TRIMTAB_HOME")}
        default = field.get_default(call_default_factory=True, validated_data=home)
        shown = "" if default in (None, "", SecretStr("")) else f"`{default}`"
        yield f"| `{group.variable(name)}` | {shown} | {field.description} |\n"


PAGES: dict[str, Callable[[], str]] = {
    "docs/reference/commands.md": commands,
    "docs/reference/parameters.md": parameters,
    "docs/reference/settings.md": settings,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (ROOT / name).write_text(page(), encoding="utf-8")
