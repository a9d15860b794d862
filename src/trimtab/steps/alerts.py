"""Alerts from Alertmanager become requests, one an episode."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from trimtab.contracts import Alert, Request
from trimtab.errors import RequestRejected
from trimtab.steps.loop import Loop, open_loop

log = logging.getLogger(__name__)


class _Alert(BaseModel):
    model_config = ConfigDict(extra="ignore")

    status: Literal["firing", "resolved"]
    fingerprint: Annotated[str, Field(min_length=1, max_length=200)]
    starts_at: Annotated[AwareDatetime, Field(alias="startsAt")]
    ends_at: Annotated[AwareDatetime, Field(alias="endsAt")]
    labels: dict[str, str]
    annotations: dict[str, str] = {}


class _Payload(BaseModel):
    model_config = ConfigDict(extra="ignore")

    version: Literal["4"]
    alerts: Annotated[list[_Alert], Field(min_length=1)]


def receive(payload: object) -> Mapping[str, list[str]]:
    """Take in one webhook call of Alertmanager.

    An alert that fires opens an episode, which is its fingerprint and `startsAt`, and writes one request. While the
    episode is open, the same alert from this replica or another one joins it; `resolved` closes it, and the next firing
    is another episode. What is sent again of an episode that was closed is known by its times.

    Args:
        payload: The JSON body, version 4 of Alertmanager's webhook. Alerts with a `model` label of another model are
            left alone.

    Returns:
        Fingerprints by what became of them: `opened`, `joined`, `closed` or `ignored`.

    Raises:
        RequestRejected: The body is no such call.
    """
    try:
        taken = _Payload.model_validate(payload)
    except ValidationError as error:
        raise RequestRejected(
            [
                {
                    "field": ".".join(map(str, one["loc"])),
                    "expected": one["msg"],
                    "got": repr(one["input"])[:120],
                }
                for one in error.errors()
            ]
        ) from error
    loop = open_loop()
    outcome: dict[str, list[str]] = {"opened": [], "joined": [], "closed": [], "ignored": []}
    champion = loop.champion()
    for one in taken.alerts:
        said = one.annotations.get("summary") or one.labels.get("alertname", "an alert without a name")
        alert = Alert(
            fingerprint=one.fingerprint,
            status=one.status,
            starts_at=one.starts_at,
            ends_at=one.ends_at,
            summary=said,
        )
        with loop.ledger.write():
            mine = one.labels.get("model", loop.model) == loop.model
            became = _take(loop, alert, champion.version if champion else None) if mine else "ignored"
        log.info("Alert %s (%s): %s", alert.fingerprint, said, became)
        outcome[became].append(alert.fingerprint)
    return outcome


def _take(loop: Loop, alert: Alert, champion: str | None) -> str:
    last = loop.ledger.last_alert(loop.model, alert.fingerprint)
    is_open = last is not None and last.status == "firing"
    if alert.status == "resolved":
        if last is None or not is_open or alert.ends_at <= last.starts_at:
            return "ignored"
        loop.ledger.record_alert(loop.model, alert)
        return "closed"
    if is_open:
        return "joined"
    if last is not None and alert.starts_at < last.ends_at:
        return "ignored"
    loop.ledger.record_alert(loop.model, alert)
    loop.ledger.add_request(_request(loop, alert, champion))
    return "opened"


def _request(loop: Loop, alert: Alert, champion: str | None) -> Request:
    now: datetime = loop.ledger.event_now(loop.model) or loop.ledger.now()
    return Request(
        model=loop.model,
        source="alert",
        episode=f"{alert.fingerprint}:{alert.starts_at.isoformat()}",
        reason=alert.summary,
        event_time=now,
        champion=champion,
    )
