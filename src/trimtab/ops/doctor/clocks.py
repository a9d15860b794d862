"""This machine's clock beside those of what it talks to, and the settings that make a time mean something else."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from trimtab.clock import system_clock
from trimtab.ledger.engine import open_engine
from trimtab.ops.doctor.finding import Doubt
from trimtab.ops.doctor.services import ALERTMANAGER, PROMETHEUS
from trimtab.stores import Stores

_OFF_SECONDS = 5.0
"""A page's Date has whole seconds, and an answer takes its time; Airflow's tokens bear ten."""
_ANSWER_SECONDS = 5.0
_PAGES = ("TRIMTAB_AIRFLOW_URL", "TRIMTAB_SERVICE_URL", PROMETHEUS, ALERTMANAGER)
_ZONE = "AIRFLOW__CORE__DEFAULT_TIMEZONE"


def clock(where: Stores) -> str | Doubt:
    """Compare the clocks. What does not answer is the finding of another check."""
    if pinned := os.environ.get("TRIMTAB_NOW"):
        return Doubt(
            found=f"TRIMTAB_NOW stops it at {pinned}: no lease ends. Unset it, unless this is a replay."
        )
    zone = os.environ.get(_ZONE, "utc")
    if zone.lower() not in ("utc", "etc/utc"):
        return Doubt(found=f"{_ZONE} is {zone}: cron times of DAGs mean that zone. Set it to utc.")
    apart = {name: (now - system_clock()).total_seconds() for name, now in _others(where)}
    off = [f"{name} is {seconds:+.0f} s" for name, seconds in apart.items() if abs(seconds) > _OFF_SECONDS]
    if off:
        what = f"beside this machine's clock, {', '.join(off)}"
        return Doubt(found=f"{what}. Let NTP set both: leases and tokens end by the clock.")
    return (
        f"as {', '.join(apart)} have it" if apart else "not compared: nothing else with a clock is in reach"
    )


def _others(where: Stores) -> Iterator[tuple[str, datetime]]:
    pages = {name: os.environ[name] for name in _PAGES if os.environ.get(name)}
    servers = {"the origin": where.origin, "MLflow": where.mlflow, "the DVC remote": where.dvc_remote}
    for name, url in (servers | pages).items():
        if url.startswith(("http://", "https://")) and (told := _date(url)):
            yield name, told
    if where.ledger.startswith("postgresql") and (told := _database(where.ledger)):
        yield "the ledger", told


def _date(url: str) -> datetime | None:
    try:
        with requests.Session() as client:
            client.trust_env = False
            answer = client.get(url, timeout=_ANSWER_SECONDS, stream=True, allow_redirects=False)
            told = parsedate_to_datetime(answer.headers["Date"])
            return told if told.tzinfo else told.replace(tzinfo=UTC)  # "-0000" comes without a zone
    except (requests.RequestException, KeyError, ValueError):
        return None


def _database(url: str) -> datetime | None:
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            now: datetime = connection.execute(text("select now()")).scalar_one()
            return now
    except SQLAlchemyError:
        return None
    finally:
        engine.dispose()
