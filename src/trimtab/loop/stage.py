"""Register a model that a candidate fitted, and move it to Staging."""

from trimtab.contracts import Stage
from trimtab.ledger import Lease, Shadow, Transition, TransitionKind, Version, queries
from trimtab.loop.loop import Loop
from trimtab.registry import transitions

RUN_TAG = "trimtab.run_id"
"""Tag of a registered version: the MLflow run of its model."""


def stage(loop: Loop, shadow: Shadow, lease: Lease, *, actor: str) -> None:
    """Register a model, and move it to Staging in place of the one there; done before, nothing is done again.

    Raises:
        LeaseLost: Another run took over the lease.
    """
    version = register(loop, shadow, lease)
    moves = queries.completed(loop.ledger)
    if any(move.version == version.version for move in moves):
        return
    for staged in queries.in_staging(moves):
        reason = f"version {version.version} is newer"
        _move(loop, staged, "Archived", kind="archive", actor=actor, reason=reason, lease=lease)
    reason = f"the newest model of {shadow.candidate}, through batch {shadow.batch}"
    _move(loop, version.version, "Staging", kind="stage", actor=actor, reason=reason, lease=lease)


def register(loop: Loop, shadow: Shadow, lease: Lease) -> Version:
    """Register a model; what an earlier try registered without the ledger's knowledge is archived.

    Raises:
        LeaseLost: Another run took over the lease.
    """
    if shadow.training is None:
        raise ValueError(f"There is no model to register: {shadow}")
    training = shadow.training
    registered = loop.ledger.columns(Version, "version", "training.run_id")
    number = next((number for number, run_id in registered if run_id == training.run_id), None)
    if number is not None:
        return loop.ledger.require(Version, number)
    loop.ledger.leases.check(lease)
    for orphan in loop.registry.find_by_tag(loop.model, RUN_TAG, training.run_id):
        loop.registry.set_stage(loop.model, orphan, "Archived", archive=False)
    name = loop.registry.register(loop.model, training.run_id, training.source, {RUN_TAG: training.run_id})
    version = Version(version=name, candidate=shadow.candidate, training=training)
    loop.ledger.append(version, lease=lease)
    return version


def _move(
    loop: Loop, version: str, to: Stage, *, kind: TransitionKind, actor: str, reason: str, lease: Lease
) -> None:
    transition = Transition(
        key=f"{kind}:{version}",
        kind=kind,
        version=version,
        to_stage=to,
        replaces=None,
        actor=actor,
        reason=reason,
        evidence_sha256=None,
        event_time=loop.event_now(),
    )
    transitions.move(loop.ledger, loop.ledger, loop.registry, transition, lease)
