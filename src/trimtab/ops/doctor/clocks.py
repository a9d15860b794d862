"""Compare this machine's clock with those of other machines, and check the settings that change the meaning of times."""

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from trimtab.clock import system_clock
from trimtab.errors import StoreUnreachable
from trimtab.ops import sql_dump
from trimtab.ops.doctor.finding import Warn
from trimtab.ops.doctor.services import get_page
from trimtab.settings import Settings

_OFF_SECONDS = 5.0
"""The Date of a page has whole seconds, and a request takes time; Airflow's tokens tolerate ten."""
_PAGES = ("airflow_url", "service_url", "prometheus_url", "alertmanager_url")


def clock(where: Settings) -> str | Warn:
    """Compare the clocks; machines that do not answer are left to other checks."""
    if where.now:
        return Warn(
            f"TRIMTAB_NOW stops it at {where.now}: no lease expires. Unset it, unless this is a replay."
        )
    zone = f"{Settings.variable('airflow_timezone')} is {where.airflow_timezone}"
    if where.airflow_timezone.lower() not in ("utc", "etc/utc"):
        return Warn(f"{zone}: cron times of DAGs are in that zone. Set it to utc.")
    apart = {name: (now - system_clock()).total_seconds() for name, now in _other_clocks(where)}
    off = [f"{name} is {seconds:+.0f} s" for name, seconds in apart.items() if abs(seconds) > _OFF_SECONDS]
    if off:
        return Warn(
            f"compared with this machine's clock, {', '.join(off)}. Let NTP set both: leases and tokens expire by the clock."
        )
    return f"agrees with {', '.join(apart)}" if apart else "not compared: no other clock can be reached"


def _other_clocks(where: Settings) -> Iterator[tuple[str, datetime]]:
    pages = {Settings.variable(field): url for field in _PAGES if (url := getattr(where, field))}
    servers = {"the origin": where.origin, "MLflow": where.mlflow, "the DVC remote": where.dvc_remote}
    for name, url in (servers | pages).items():
        if url.startswith(("http://", "https://")) and (now := _time_of_server(url)):
            yield name, now
    if where.ledger.startswith("postgresql") and (now := _time_of_database(where.ledger)):
        yield "the ledger", now


def _time_of_server(url: str) -> datetime | None:
    try:
        answer = get_page(url, stream=True, allow_redirects=False)
        now = parsedate_to_datetime(answer.headers["Date"])
        return now if now.tzinfo else now.replace(tzinfo=UTC)  # "-0000" is read without a zone
    except (requests.RequestException, KeyError, ValueError):
        return None


def _time_of_database(url: str) -> datetime | None:
    try:
        with sql_dump.transaction(url) as connection:
            now: datetime = connection.execute(text("select now()")).scalar_one()
            return now
    except (StoreUnreachable, SQLAlchemyError):
        return None
