"""Keeps the records that no store takes, for a person to look at."""

import json
import os
from pathlib import Path

from trimtab.predictions import codec
from trimtab.predictions.codec import Record

FILE = "refused.txt"


def put(folder: Path, record: Record | bytes, reason: str) -> Path:
    """Append a record with the reason to a file, as a line of JSON, and return the file's path."""
    text = record if isinstance(record, bytes) else codec.line(record)
    entry = {"reason": reason, "record": text.decode(errors="backslashreplace").rstrip("\n")}
    path = folder / FILE
    with path.open("ab") as file:
        file.write(json.dumps(entry).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return path
