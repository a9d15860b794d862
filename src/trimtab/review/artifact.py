"""Read the artifact of a job that ran untrusted code: validate its verdict, and judge again with the base branch's gate."""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from pydantic import ValidationError

from trimtab import params
from trimtab.contracts import Verdict, from_json
from trimtab.errors import ReviewRefused
from trimtab.evaluate import looks
from trimtab.evaluate.weigh import Weighed, weigh

FILE = "verdict.json"
_MOST_BYTES, _MOST_ENTRIES = 1_000_000, 2000
_BATCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}", re.ASCII)
_VERSION = re.compile(r"[0-9]{1,9}", re.ASCII)


def read(folder: Path) -> Verdict:
    """Read `verdict.json` of an artifact.

    Raises:
        ReviewRefused: It is missing, a link, too large, not a verdict, or has values that no gate produces.
    """
    path = folder / FILE
    if path.is_symlink() or not path.is_file():
        raise ReviewRefused(FILE, "a file", "none")
    if path.stat().st_size > _MOST_BYTES:
        raise ReviewRefused(FILE, f"at most {_MOST_BYTES} bytes", f"{path.stat().st_size}")
    try:
        verdict = from_json(Verdict, path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "all of it"
        raise ReviewRefused(
            FILE, "the verdict of `trimtab evaluate`", f"{first['msg']} at {where}"
        ) from error
    for expected, got in _faults(verdict):
        raise ReviewRefused(FILE, expected, got)
    return verdict


def gate_of(verdict: Verdict, gate: params.Gate) -> params.Gate:
    """Return the gate as it applies to the verdict's champion."""
    return looks.gate_for(None, gate) if verdict.champion is None else gate


def judge_again(verdict: Verdict, gate: params.Gate) -> Weighed:
    """Judge the verdict's blocks and checks with the gate of this checkout, which the pull request has not touched.

    Raises:
        ReviewRefused: The gate has no such look.
    """
    gate = gate_of(verdict, gate)
    if not 1 <= verdict.look <= gate.looks:
        raise ReviewRefused(FILE, f"a look from 1 to {gate.looks}", str(verdict.look))
    return weigh(verdict.blocks, verdict.checks, gate, look=verdict.look, champion=verdict.champion_name)


def _faults(verdict: Verdict) -> Iterator[tuple[str, str]]:
    if verdict.champion is not None and not _VERSION.fullmatch(verdict.champion):
        yield "the number of a version as champion, or null", repr(verdict.champion[:60])
    parts = asdict(verdict)
    if any(len(part) > _MOST_ENTRIES for part in parts.values() if isinstance(part, tuple | dict)):
        yield f"lists of at most {_MOST_ENTRIES} entries", "a longer one"
    if not verdict.blocks:
        yield "blocks of time on which both were judged", "none"
    scored = {block.batch for block in verdict.blocks} | {score.batch for score in verdict.challenger_scores}
    for batch in scored | {ref.batch for ref in verdict.judged_on}:
        if not _BATCH.fullmatch(batch):
            yield "batch ids of letters, digits, dots and dashes", repr(batch[:60])
    for block in verdict.blocks:
        if block.rows < 1:
            yield "blocks of one row or more", str(block.rows)
    try:
        json.dumps(parts, allow_nan=False, default=str)
    except ValueError:
        yield "finite numbers", "one that is not"
