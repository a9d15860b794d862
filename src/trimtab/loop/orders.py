"""What people order, by name and with a reason; all of it is in the ledger."""

from datetime import datetime

from trimtab.contracts import Order, OrderVerb
from trimtab.errors import OrderRefused
from trimtab.ledger.records import Transition
from trimtab.loop import rollback as back
from trimtab.loop.loop import Loop, open_loop
from trimtab.loop.notify import notify
from trimtab.loop.reconcile import mend
from trimtab.registry import transitions


def order(verb: OrderVerb, *, version: str | None = None, actor: str, reason: str) -> str:
    """Pause or resume the loop, pin or unpin the champion, block or unblock a version; return a sentence.

    Paused, nothing starts; what is in flight ends. Pinned, nothing is promoted or rolled back. A blocked version never
    goes to Production.

    Raises:
        OrderRefused: The version is unknown, or is not the champion that is to be pinned; or there is no reason.
    """
    loop = open_loop()
    if version is not None and version not in loop.ledger.versions(loop.model):
        raise OrderRefused(f"{verb} a version of {loop.model} that trimtab registered", f"version {version}")
    if verb == "pin":
        champion = loop.champion()
        if champion is None or version not in (None, champion.version):
            now = f"version {champion.version} is" if champion else "none is"
            raise OrderRefused("pin the version in Production", f"version {version}; {now} in Production")
        version = champion.version
    _give(loop, verb, version, actor, reason)
    return f"{verb} {f'version {version} ' if version else ''}by {actor}: {reason}"


def promote(version: str, *, actor: str, reason: str, pin: bool) -> str:
    """Move a version to Production past the gate; it is watched like any new champion, or pinned.

    Raises:
        OrderRefused: The version is unknown, blocked, in Production already, or cannot be loaded; or another one is pinned
            and this one is not to be.
    """
    loop = open_loop()
    mend(loop)
    champion, standing = loop.champion(), loop.ledger.standing(loop.model)
    if champion is not None and champion.version == version:
        raise OrderRefused("promote a version that is not in Production", f"version {version}, which is")
    if standing.pinned is not None and not pin:
        raise OrderRefused(
            "promote while nothing is pinned", f"a pin by {standing.pinned}. Run `trimtab model unpin`"
        )
    _fit_to_serve(loop, version)
    with loop.ledger.write():
        given = _give(loop, "promote", version, actor, reason)
        if pin:
            _give(loop, "pin", version, actor, reason)
        step = Transition(
            model=loop.model,
            key=f"order-{given}:force",
            version=version,
            to_stage="Production",
            replaces=champion.version if champion else None,
            actor=actor,
            reason=f"FORCED: {reason}",
            evidence_sha256=None,
            event_time=_now(loop),
        )
        if version in loop.ledger.under_judgement(loop.model):
            loop.ledger.record_judgement(
                loop.model,
                run_key=loop.ledger.versions(loop.model)[version].run_key,
                version=version,
                state="FORCED",
                reason=step.reason,
                event_time=step.event_time,
            )
        loop.ledger.intend(step)
    transitions.finish(loop.ledger, loop.registry, step)
    return f"version {version} is in Production by {actor}, {'pinned' if pin else 'and watched'}: {reason}"


def rollback(version: str | None, *, actor: str, reason: str, key: str | None = None) -> str:
    """Go back to a version that was in Production before, the former champion when none is named.

    Ordered again under the same key (a cleared task), it happens once.

    Raises:
        OrderRefused: There is none, or it never was in Production, is blocked, or cannot be loaded; or the champion is
            pinned.
    """
    loop = open_loop()
    mend(loop)
    champion, standing = loop.champion(), loop.ledger.standing(loop.model)
    before = [one.transition for one in loop.ledger.transitions(loop.model) if one.phase == "done"]
    known = next((one for one in before if key is not None and one.key == f"{key}:rollback"), None)
    if known is not None:
        return f"version {known.version} went back to Production by {known.actor}: {known.reason}"
    served = [one.version for one in before if one.to_stage == "Production"]
    if champion is None:
        raise OrderRefused("roll back from a version in Production", "none there")
    if standing.pinned is not None:
        raise OrderRefused(
            "roll back while nothing is pinned", f"a pin by {standing.pinned}. Run `trimtab model unpin`"
        )
    others = [one for one in reversed(served) if one != champion.version and one not in standing.blocked]
    to = version or next(iter(others), None)
    if to is None or to not in served or to == champion.version:
        listed = ", ".join(dict.fromkeys(others)) or "none"
        raise OrderRefused(f"a version that was in Production before ({listed})", f"version {to or 'none'}")
    _fit_to_serve(loop, to)
    _check(actor, reason)
    step = back.intend(
        loop, bad=champion.version, to=to, actor=actor, reason=reason, event_time=_now(loop), key=key
    )
    transitions.finish(loop.ledger, loop.registry, step)
    text = f"version {to} is back in Production by {actor}, version {champion.version} is blocked: {reason}"
    notify(loop, key=step.key, kind="rollback", text=text)
    return text


def _now(loop: Loop) -> datetime:
    return loop.ledger.event_now(loop.model) or loop.ledger.now()


def _fit_to_serve(loop: Loop, version: str) -> None:
    blocked = loop.ledger.standing(loop.model).blocked.get(version)
    if blocked is not None:
        raise OrderRefused(
            "a version that is not blocked",
            f"version {version}, blocked by {blocked}. Run `trimtab model unblock`",
        )
    trouble = back.trouble(loop, version)
    if trouble is not None:
        raise OrderRefused("a version that can be loaded", f"version {version}: {trouble}")


def _give(loop: Loop, verb: OrderVerb, version: str | None, actor: str, reason: str) -> int:
    _check(actor, reason)
    given = Order(
        model=loop.model,
        verb=verb,
        version=version,
        actor=actor,
        reason=reason,
        event_time=loop.ledger.event_now(loop.model),
    )
    return loop.ledger.record_order(given).id


def _check(actor: str, reason: str) -> None:
    if not actor.strip() or not reason.strip():
        raise OrderRefused("a name and a reason", f"name {actor!r}, reason {reason!r}")
