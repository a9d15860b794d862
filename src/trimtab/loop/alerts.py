"""Alerts from Alertmanager become requests, one an episode."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, cast

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, ValidationError

from trimtab.errors import RequestRejected
from trimtab.ledger import Alert, Answer, Fact, Request, Run, RunEnd, Snapshot, Wait, state
from trimtab.loop.loop import Loop, open_loop

log = logging.getLogger(__name__)


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


class _Alert(BaseModel):
    status: Literal["firing", "resolved"]
    fingerprint: Annotated[_Text, Field(min_length=1, max_length=200)]
    starts_at: Annotated[_Time, Field(alias="startsAt")]
    ends_at: Annotated[_Time, Field(alias="endsAt")]
    labels: dict[_Text, _Text]
    annotations: dict[_Text, _Text] = {}
    generator: Annotated[_Text, Field(alias="generatorURL")] = ""


class _Payload(BaseModel):
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
    call = _parsed(payload)
    loop = open_loop()
    mine = [alert for alert in call.alerts if alert.labels.get("model", loop.model) == loop.model]
    others = [alert.fingerprint for alert in call.alerts if alert not in mine]

    def take(facts: Snapshot) -> dict[str, list[str]]:
        outcome: dict[str, list[str]] = {"opened": [], "joined": [], "closed": [], "ignored": [*others]}
        written: list[Fact] = []
        for alert in (_alert(received, call.alertmanager) for received in mine):
            result, new = _take(loop, facts, alert, written)
            written += new
            log.info("Alert %s (%s): %s", alert.fingerprint, alert.summary, result)
            outcome[result].append(alert.fingerprint)
        facts.append(*written)
        return outcome

    return loop.ledger.decide(take)


def by_model(payload: object) -> dict[str, dict[str, object]]:
    """Split one webhook call by the `model` label of its alerts; those without one are under the empty name.

    Raises:
        RequestRejected: The body is no such call.
    """
    call, by_name = _parsed(payload), dict[str, dict[str, object]]()
    assert isinstance(payload, dict)  # or it would have been refused
    for alert, raw in zip(call.alerts, payload["alerts"], strict=True):
        part = by_name.setdefault(alert.labels.get("model", ""), {**payload, "alerts": []})
        part["alerts"] = [*cast(list[object], part["alerts"]), raw]
    return by_name


def unread() -> bool:
    """Return whether a request waits that the arbiter has never looked at."""
    ledger = open_loop().ledger
    waits, runs = ledger.all(Wait), ledger.all(Run)
    looked_at = {*ledger.keys(Answer), *(each.request for each in waits), *(each.request for each in runs)}
    return any(key not in looked_at for key in ledger.keys(Request))


def _parsed(payload: object) -> _Payload:
    try:
        return _Payload.model_validate(payload)
    except ValidationError as error:
        raise RequestRejected(
            [
                {
                    "field": ".".join(map(str, fault["loc"])),
                    "expected": fault["msg"],
                    "got": ascii(fault["input"])[:120],
                }
                for fault in error.errors()
            ]
        ) from error


def _alert(received: _Alert, alertmanager: str) -> Alert:
    links = {
        "generator": received.generator,
        "runbook": received.annotations.get("runbook_url", ""),
        "dashboard": received.annotations.get("dashboard_url", ""),
        "alertmanager": alertmanager,
    }
    return Alert(
        fingerprint=received.fingerprint,
        status=received.status,
        starts_at=received.starts_at,
        ends_at=received.ends_at,
        summary=received.annotations.get("summary")
        or received.labels.get("alertname", "an alert without a name"),
        labels=received.labels,
        links={name: link for name, link in links.items() if link},
    )


def _take(loop: Loop, facts: Snapshot, alert: Alert, written: Sequence[Fact]) -> tuple[str, list[Fact]]:
    """Return what became of an alert, and the facts that follow from it; `written` are those of the alerts before it."""
    earlier = facts.all(Alert, prefix=f"{alert.fingerprint}:", fingerprint=alert.fingerprint)
    same_call = [
        each for each in written if isinstance(each, Alert) and each.fingerprint == alert.fingerprint
    ]
    last = next(reversed([*earlier, *same_call]), None)
    is_open = last is not None and last.status == "firing"
    if alert.status == "resolved":
        if last is None or not is_open or alert.ends_at <= last.starts_at:
            return "ignored", []
        return "closed", [alert, *_withdrawal(facts, last.episode, alert.ends_at, written)]
    joins_within = timedelta(hours=loop.params.trigger.alert_join_hours)
    if last is not None and is_open and alert.starts_at - last.starts_at < joins_within:
        return "joined", []
    if last is not None and not is_open and alert.starts_at < last.ends_at:
        return "ignored", []
    champion = loop.champion()
    request = Request(
        source="alert",
        episode=alert.episode,
        reason=alert.summary,
        event_time=loop.event_now(),
        champion=champion.version if champion else None,
        labels=alert.labels,
        links=alert.links,
    )
    return "opened", [alert, request]


def _withdrawal(facts: Snapshot, episode: str, resolved: datetime, written: Sequence[Fact]) -> list[Answer]:
    """Answer the request of an episode that has ended, unless a run works on it or has answered it."""
    key = f"alert:{episode}"
    same_call = (each for each in written if isinstance(each, Request) and each.key == key)
    request = next(same_call, None) or facts.get(Request, key)
    if request is None or state.unfinished(facts.all(Run, request=key), facts.keys(RunEnd)):
        return []
    reason = f"the alert resolved before a retraining began, at {resolved:%Y-%m-%d %H:%M} UTC"
    return [
        Answer(
            request=key, action="SKIP", reason=reason, holder="alertmanager", event_time=request.event_time
        )
    ]
