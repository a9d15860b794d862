"""Orders of operators and of the watch rule, by name and with a reason; each is a fact of the ledger."""

from collections.abc import Sequence
from datetime import datetime
from uuid import uuid4

from trimtab.contracts import ModelVersion, OrderVerb
from trimtab.data.recipes import why_unreadable
from trimtab.errors import OrderRefused, UnsafeModel
from trimtab.ledger import Fact, Order, RecipeEntry, Snapshot, Transition, Version, queries, state
from trimtab.loop.loop import Loop, open_loop
from trimtab.loop.notify import notify
from trimtab.loop.reconcile import repair
from trimtab.registry import transitions

WATCH_RULE = "the watch rule"


def order(verb: OrderVerb, *, version: str | None = None, actor: str, reason: str) -> str:
    """Pause or resume the loop, pin or unpin the champion, block or unblock a version; return a sentence.

    While the loop is paused nothing starts; runs in progress end. While a version is pinned nothing is promoted or rolled
    back. A blocked version never comes to Production.

    Raises:
        OrderRefused: The version is unknown, or is not the champion that is to be pinned; or name or reason is missing.
    """
    loop = open_loop()
    _require_name_and_reason(actor, reason)
    if version is not None and loop.ledger.get(Version, version) is None:
        raise OrderRefused(f"{verb} a version of {loop.model} that trimtab registered", f"version {version}")

    def give(facts: Snapshot) -> str | None:
        ordered = _champion_to_pin(facts, version) if verb == "pin" else version
        facts.append(
            Order(verb=verb, version=ordered, actor=actor, reason=reason, event_time=loop.event_now())
        )
        return ordered

    ordered = loop.ledger.decide(give)
    return f"{verb} {f'version {ordered} ' if ordered else ''}by {actor}: {reason}"


def adopt(recipe: int, *, actor: str, reason: str) -> str:
    """Let a recipe lead without the proof of a trial, from now on; return a sentence.

    Raises:
        OrderRefused: No such recipe has entered the race, its models cannot read the data contract, or name or reason is
            missing.
    """
    loop = open_loop()
    _require_name_and_reason(actor, reason)
    recipes = {entry.number: entry.recipe for entry in loop.ledger.all(RecipeEntry)}
    if recipe not in recipes:
        listed = ", ".join(map(str, recipes)) or "none yet"
        raise OrderRefused(f"a recipe that entered the race ({listed})", f"recipe {recipe}")
    unreadable = why_unreadable(recipes[recipe], loop.params.data)
    if unreadable is not None:
        raise OrderRefused("a recipe that can read the data contract", f"recipe {recipe}: {unreadable}")
    loop.ledger.append(
        Order(
            verb="adopt",
            version=None,
            recipe=recipe,
            actor=actor,
            reason=reason,
            event_time=loop.event_now(),
        )
    )
    return f"recipe {recipe} leads by {actor}: {reason}"


def promote(version: str, *, actor: str, reason: str, pin: bool) -> str:
    """Move a version to Production past the gate; it is watched like any new champion, or pinned.

    Raises:
        OrderRefused: The version is unknown, blocked, in Production already, or cannot be loaded; or another one is pinned
            and this one is not to be.
    """
    loop = open_loop()
    repair(loop)
    _require_name_and_reason(actor, reason)
    _require_loadable(loop, version)
    key = f"order-{uuid4().hex}:force"

    def force(facts: Snapshot) -> Transition:
        champion = queries.champion(facts)
        orders = state.orders_in_force(facts.all(Order))
        if champion is not None and champion.version == version:
            raise OrderRefused("promote a version that is not in Production", f"version {version}, which is")
        if orders.pinned is not None and not pin:
            raise OrderRefused(
                "promote while nothing is pinned", f"a pin by {orders.pinned}. Run `trimtab model unpin`"
            )
        _refuse_blocked(orders, version)
        transition = Transition(
            key=key,
            kind="force",
            version=version,
            to_stage="Production",
            replaces=champion.version if champion else None,
            actor=actor,
            reason=f"FORCED: {reason}",
            evidence_sha256=None,
            event_time=loop.event_now(),
        )
        verbs: list[OrderVerb] = ["promote", "pin"] if pin else ["promote"]
        given: list[Fact] = [
            Order(verb=verb, version=version, actor=actor, reason=reason, event_time=transition.event_time)
            for verb in verbs
        ]
        facts.append(*given, transition)
        return transition

    transitions.finish(loop.ledger, loop.registry, loop.ledger.decide(force))
    return f"version {version} is in Production by {actor}, {'pinned' if pin else 'and watched'}: {reason}"


def rollback(version: str | None, *, actor: str, reason: str, key: str | None = None) -> str:
    """Go back to a version that was in Production before, the former champion if none is named.

    Ordered again under the same key (a cleared task), it happens once.

    Raises:
        OrderRefused: The version does not exist, was never in Production, is blocked or cannot be loaded; or the champion
            is pinned, or was replaced in the meantime.
    """
    loop = open_loop()
    repair(loop)
    made = loop.ledger.get(Transition, f"{key}:rollback") if key is not None else None
    if made is not None:
        return f"version {made.version} went back to Production by {made.actor}: {made.reason}"
    _require_name_and_reason(actor, reason)
    champion = loop.champion()
    unique = key or f"order-{uuid4().hex}"

    def roll_back(facts: Snapshot) -> Transition:
        bad = queries.champion(facts)
        if bad != champion:
            raise OrderRefused(
                f"roll back from {_named(champion)}", f"{_named(bad)}, which was promoted meanwhile"
            )
        to = _target(facts, bad, version)
        _require_loadable(loop, to)
        assert bad is not None  # _target refuses
        transition, orders = facts_of_rollback(
            bad=bad.version, to=to, actor=actor, reason=reason, event_time=loop.event_now(), key=unique
        )
        facts.append(*orders, transition)
        return transition

    transition = loop.ledger.decide(roll_back)
    transitions.finish(loop.ledger, loop.registry, transition)
    text = (
        f"version {transition.version} is back in Production by {actor}, version {transition.replaces} is blocked: "
        f"{reason}"
    )
    notify(loop, key=transition.key, kind="rollback", text=text)
    return text


def load_error(loop: Loop, version: str) -> str | None:
    """Load a version as the service would; return what is wrong with it, or None."""
    registered = loop.ledger.get(Version, version)
    if registered is None:
        return "the ledger holds no digest of it: it was not registered by trimtab."
    try:
        loop.load(registered)
    except UnsafeModel as error:
        return str(error)
    return None


def facts_of_rollback(
    *,
    bad: str,
    to: str,
    actor: str,
    reason: str,
    event_time: datetime,
    key: str,
    evidence_sha256: str | None = None,
) -> tuple[Transition, Sequence[Order]]:
    """Return the transition of a rollback, and the orders that go with it: the rollback, and the block of the bad version.

    Args:
        bad: The champion that is taken back. It does not come to Production until `trimtab model unblock`.
        to: The version to go back to, which was tried with `load_error` before.
        actor: Who.
        reason: Why.
        event_time: Of the transition.
        key: What makes it happen once.
        evidence_sha256: Digest of the evidence, None for a person's order.
    """
    transition = Transition(
        key=f"{key}:rollback",
        kind="rollback",
        version=to,
        to_stage="Production",
        replaces=bad,
        actor=actor,
        reason=f"ROLLBACK: {reason}",
        evidence_sha256=evidence_sha256,
        event_time=event_time,
    )
    given: list[tuple[OrderVerb, str]] = [("rollback", to), ("block", bad)]
    return transition, [
        Order(verb=verb, version=version, actor=actor, reason=reason, event_time=event_time)
        for verb, version in given
    ]


def _target(facts: Snapshot, champion: ModelVersion | None, version: str | None) -> str:
    """Return the version to go back to."""
    orders = state.orders_in_force(facts.all(Order))
    if champion is None:
        raise OrderRefused("roll back from a version in Production", "none there")
    if orders.pinned is not None:
        raise OrderRefused(
            "roll back while nothing is pinned", f"a pin by {orders.pinned}. Run `trimtab model unpin`"
        )
    served = [move.version for move in queries.to_production(facts)]
    candidates = [
        former for former in reversed(served) if former != champion.version and former not in orders.blocked
    ]
    to = version or next(iter(candidates), None)
    if to is None or to not in served or to == champion.version:
        listed = ", ".join(dict.fromkeys(candidates)) or "none"
        raise OrderRefused(f"a version that was in Production before ({listed})", f"version {to or 'none'}")
    _refuse_blocked(orders, to)
    return to


def _champion_to_pin(facts: Snapshot, version: str | None) -> str:
    champion = queries.champion(facts)
    if champion is None or version not in (None, champion.version):
        now = f"version {champion.version} is" if champion else "none is"
        raise OrderRefused("pin the version in Production", f"version {version}; {now} in Production")
    return champion.version


def _refuse_blocked(orders: state.OrdersInForce, version: str) -> None:
    blocked = orders.blocked.get(version)
    if blocked is not None:
        raise OrderRefused(
            "a version that is not blocked",
            f"version {version}, blocked by {blocked}. Run `trimtab model unblock`",
        )


def _require_loadable(loop: Loop, version: str) -> None:
    obstacle = load_error(loop, version)
    if obstacle is not None:
        raise OrderRefused("a version that can be loaded", f"version {version}: {obstacle}")


def _require_name_and_reason(actor: str, reason: str) -> None:
    if not actor.strip() or not reason.strip():
        raise OrderRefused("a name and a reason", f"name {actor!r}, reason {reason!r}")


def _named(champion: ModelVersion | None) -> str:
    return f"version {champion.version}" if champion else "no version"
