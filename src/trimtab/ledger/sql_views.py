"""SQL views of the facts, for people who look into the ledger with a database client."""

from dataclasses import fields
from datetime import datetime
from types import NoneType, UnionType
from typing import Literal, Union, get_args, get_origin, get_type_hints

from sqlalchemy import Connection

from trimtab.ledger.facts import KINDS, Fact, kind_of

_STORED_APART = {"id", "at", "key", "event_time"}


def create(connection: Connection) -> None:
    """Create a view `all_KIND` for each kind of fact, with a column for each field that is not a structure."""
    for kind in KINDS:
        name = kind_of(kind)
        columns = ", ".join(["id", "model", "key", "event_time", "at", *_columns(kind, connection)])
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS all_{name}")
        connection.exec_driver_sql(
            f"CREATE VIEW all_{name} AS SELECT {columns} FROM facts WHERE kind = '{name}'"
        )


def _columns(kind: type[Fact], connection: Connection) -> list[str]:
    extract = "json_extract(body, '$.{0}')" if connection.dialect.name == "sqlite" else "body ->> '{0}'"
    types = get_type_hints(kind)
    return [
        f'{extract.format(field.name)} AS "{field.name}"'
        for field in fields(kind)
        if field.name not in _STORED_APART and _is_scalar(types[field.name])
    ]


def _is_scalar(annotation: object) -> bool:
    if get_origin(annotation) in (Union, UnionType):
        return all(_is_scalar(option) for option in get_args(annotation))
    return get_origin(annotation) is Literal or annotation in (str, int, float, bool, datetime, NoneType)
