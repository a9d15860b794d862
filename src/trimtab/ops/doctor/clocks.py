"""This machine's clock beside those of what it talks to, and the settings that make a time mean something else."""

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from trimtab.clock import system_clock
from trimtab.ledger.engine import open_engine
from trimtab.ops.doctor.finding import Doubt
from trimtab.settings import Settings

_OFF_SECONDS = 5.0
"""A page's Date has whole seconds, and an answer takes its time; Airflow's tokens bear ten."""
_ANSWER_SECONDS = 5.0
_PAGES = ("airflow_url", "service_url", "prometheus_url", "alertmanager_url")


def clock(where: Settings) -> str | Doubt:
    """Compare the clocks. What does not answer is the finding of another check."""
    if where.now:
        return Doubt(
            found=f"TRIMTAB_NOW stops it at {where.now}: no lease ends. Unset it, unless this is a replay."
        )
    if where.airflow_timezone.lower() not in ("utc", "etc/utc"):
        variable = Settings.variable("airflow_timezone")
        return Doubt(
            found=f"{variable} is {where.airflow_timezone}: cron times of DAGs mean that zone. Set it to utc."
        )
    apart = {name: (now - system_clock()).total_seconds() for name, now in _others(where)}
    off = [f"{name} is {seconds:+.0f} s" for name, seconds in apart.items() if abs(seconds) > _OFF_SECONDS]
    if off:
        what = f"beside this machine's clock, {', '.join(off)}"
        return Doubt(found=f"{what}. Let NTP set both: leases and tokens end by the clock.")
    return (
        f"as {', '.join(apart)} have it" if apart else "not compared: nothing else with a clock is in reach"
    )


def _others(where: Settings) -> Iterator[tuple[str, datetime]]:
    pages = {Settings.variable(field): url for field in _PAGES if (url := getattr(where, field))}
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
