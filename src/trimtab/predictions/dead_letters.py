"""Keeps the records that the prediction log cannot accept, with the reason, for an operator to inspect."""

import json
from pathlib import Path

from trimtab import files
from trimtab.predictions.records import Record, encode

FILE = "refused.txt"


def append(folder: Path, record: Record | bytes, reason: str) -> Path:
    """Append a record and the reason to the file of dead letters as a line of JSON, and return the file's path."""
    text = record if isinstance(record, bytes) else encode(record)
    entry = {"reason": reason, "record": text.decode(errors="backslashreplace").rstrip("\n")}
    path = folder / FILE
    with path.open("ab") as file:
        file.write(json.dumps(entry).encode() + b"\n")
    files.sync(path)
    return path
