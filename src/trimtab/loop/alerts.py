"""Alerts from Alertmanager become requests, one an episode."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, cast

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from trimtab.contracts import Alert, Decision, Request
from trimtab.errors import RequestRejected
from trimtab.loop.loop import Loop, open_loop

log = logging.getLogger(__name__)

HOLDER = "alertmanager"
"""Who withdrew a request, in the ledger."""


def _storable(text: str) -> str:
    text.encode()  # half of a surrogate pair, which JSON can hold, fits no store: a UnicodeEncodeError is a ValueError
    if "\0" in text:
        raise ValueError("should be text without NUL, which PostgreSQL does not keep")
    return text


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("should be a time of the years 1 to 9999 in UTC") from error


_Text = Annotated[str, AfterValidator(_storable)]
_Time = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=False)


class _Alert(_Part):
    status: Literal["firing", "resolved"]
    fingerprint: Annotated[_Text, Field(min_length=1, max_length=200)]
    starts_at: Annotated[_Time, Field(alias="startsAt")]
    ends_at: Annotated[_Time, Field(alias="endsAt")]
    labels: dict[_Text, _Text]
    annotations: dict[_Text, _Text] = {}
    generator: Annotated[_Text, Field(alias="generatorURL")] = ""


class _Payload(_Part):
    version: Literal["4"]
    alerts: Annotated[list[_Alert], Field(min_length=1)]
    alertmanager: Annotated[_Text, Field(alias="externalURL")] = ""


def receive(payload: object) -> Mapping[str, list[str]]:
    """Take in one webhook call of Alertmanager: all of it, or nothing.

    An alert that fires opens an episode, which is its fingerprint and `startsAt`, and writes one request. While the
    episode is open, the same alert from this replica or another one joins it; `resolved` closes it, withdraws the request
    if it still waits, and the next firing is another episode. What is sent again of an episode that was closed is known
    by its times. An episode that stays open because its `resolved` was lost ends with the next firing that starts more
    than `trigger.alert_join_hours` after it.

    Args:
        payload: The JSON body, version 4 of Alertmanager's webhook. Alerts with a `model` label of another model are
            left alone.

    Returns:
        Fingerprints by what became of them: `opened`, `joined`, `closed` or `ignored`.

    Raises:
        RequestRejected: The body is no such call; nothing was written.
        StoreUnreachable: The origin or the ledger does not answer; nothing was written.
    """
    taken = _parsed(payload)
    loop = open_loop()
    outcome: dict[str, list[str]] = {"opened": [], "joined": [], "closed": [], "ignored": []}
    with loop.ledger.write():
        for one in taken.alerts:
            alert = _alert(one, taken.alertmanager)
            mine = one.labels.get("model", loop.model) == loop.model
            became = _take(loop, alert) if mine else "ignored"
            log.info("Alert %s (%s): %s", alert.fingerprint, alert.summary, became)
            outcome[became].append(alert.fingerprint)
    return outcome


def by_model(payload: object) -> dict[str, dict[str, object]]:
    """Split one webhook call by the `model` label of its alerts; those without one are under the empty name.

    Raises:
        RequestRejected: The body is no such call.
    """
    taken, found = _parsed(payload), dict[str, dict[str, object]]()
    assert isinstance(payload, dict)  # or it would not have been taken for a call
    for one, raw in zip(taken.alerts, payload["alerts"], strict=True):
        part = found.setdefault(one.labels.get("model", ""), {**payload, "alerts": []})
        part["alerts"] = [*cast(list[object], part["alerts"]), raw]
    return found


def unread() -> bool:
    """Say whether a request waits that the arbiter has not looked at even once."""
    loop = open_loop()
    return bool(loop.ledger.unread(loop.model))


def _parsed(payload: object) -> _Payload:
    try:
        return _Payload.model_validate(payload)
    except ValidationError as error:
        raise RequestRejected(
            [
                {
                    "field": ".".join(map(str, one["loc"])),
                    "expected": one["msg"],
                    "got": ascii(one["input"])[:120],
                }
                for one in error.errors()
            ]
        ) from error


def _alert(one: _Alert, alertmanager: str) -> Alert:
    links = {
        "generator": one.generator,
        "runbook": one.annotations.get("runbook_url", ""),
        "dashboard": one.annotations.get("dashboard_url", ""),
        "alertmanager": alertmanager,
    }
    return Alert(
        fingerprint=one.fingerprint,
        status=one.status,
        starts_at=one.starts_at,
        ends_at=one.ends_at,
        summary=one.annotations.get("summary") or one.labels.get("alertname", "an alert without a name"),
        labels=one.labels,
        links={name: link for name, link in links.items() if link},
    )


def _take(loop: Loop, alert: Alert) -> str:
    last = loop.ledger.last_alert(loop.model, alert.fingerprint)
    is_open = last is not None and last.status == "firing"
    if alert.status == "resolved":
        if last is None or not is_open or alert.ends_at <= last.starts_at:
            return "ignored"
        loop.ledger.record_alert(loop.model, alert)
        _withdraw(loop, _episode(last), alert.ends_at)
        return "closed"
    if last is not None and is_open and alert.starts_at - last.starts_at < _join(loop):
        return "joined"
    if last is not None and not is_open and alert.starts_at < last.ends_at:
        return "ignored"
    loop.ledger.record_alert(loop.model, alert)
    loop.ledger.add_request(_request(loop, alert))
    return "opened"


def _join(loop: Loop) -> timedelta:
    return timedelta(hours=loop.params.trigger.alert_join_hours)


def _episode(alert: Alert) -> str:
    return f"{alert.fingerprint}:{alert.starts_at.isoformat()}"


def _request(loop: Loop, alert: Alert) -> Request:
    # The champion is the ledger's: MLflow may be away while an alert comes.
    live = loop.ledger.live(loop.model)
    return Request(
        model=loop.model,
        source="alert",
        episode=_episode(alert),
        reason=alert.summary,
        event_time=loop.ledger.event_now(loop.model) or loop.ledger.now(),
        champion=live.transition.version if live else None,
        labels=alert.labels,
        links=alert.links,
    )


def _withdraw(loop: Loop, episode: str, resolved: datetime) -> None:
    for record in loop.ledger.waiting(loop.model):
        if (record.request.source, record.request.episode) == ("alert", episode):
            reason = f"the alert resolved before a retraining began, at {resolved:%Y-%m-%d %H:%M} UTC"
            answer = Decision(request_id=record.id, action="SKIP", reason=reason)
            event_time = record.request.event_time
            loop.ledger.decide(loop.model, answer, holder=HOLDER, event_time=event_time)
