"""Compares the prediction log with what the clients were told: each answer once, and nothing else."""

import json
from collections import Counter
from datetime import datetime, timedelta
from uuid import UUID

import psycopg

from tests.verify.soak.load import label_of
from tests.verify.soak.records import Seen, fingerprint, shown
from trimtab.predictions.protocol import PredictionLog

WINDOW = timedelta(seconds=20)
"""Of which the join fits in memory: some 50,000 predictions."""
FETCHED_AT_ONCE = 5000


def differences(url: str, seen: Seen) -> list[str]:
    """Say what is in the log and was told to no client, the reverse, and what is another answer."""
    left, faults = dict(seen.versions), Counter[str]()
    query = "select prediction_id, row_id, version, role, answer from predictions"
    with psycopg.connect(url) as connection:
        connection.execute("analyze")  # else the joins after this may read all of it each
    with psycopg.connect(url) as connection, connection.cursor(name="soak") as cursor:
        cursor.itersize = FETCHED_AT_ONCE
        for id_, row, version, role, answer in cursor.execute(query):
            answered = left.pop(UUID(id_).bytes, None)
            if role != "champion":
                faults[f"a prediction has the role {role}"] += 1
            if answered is None:
                faults["a prediction is in the log that no client was told, or twice"] += 1
            elif answered != fingerprint(row, version, json.loads(answer)):
                faults["a prediction is in the log otherwise than the client was told"] += 1
    if left:
        faults["a prediction that a client was told is not in the log"] = len(left)
    return shown(faults)


def outcome_faults(log: PredictionLog, model: str, seen: Seen, begin: datetime, end: datetime) -> list[str]:
    """Say which outcomes are not in force; the log is joined window by window."""
    faults, left, joined = Counter[str](), set(seen.outcomes), 0
    while begin < end:
        for item in log.joined(model, start=begin, end=begin + WINDOW):
            row, joined = item.prediction.row_id, joined + 1
            expected = label_of(row) if row in left else None
            if item.label != expected:
                faults[f"a row's label in force is {item.label}, it should be {expected}"] += 1
            left.discard(row)
        begin += WINDOW
    if left:
        faults["an outcome that was accepted joins no prediction"] = len(left)
    if joined != len(seen.versions):
        faults[f"the join has {joined} rows of {len(seen.versions)}"] = 1
    return shown(faults)
