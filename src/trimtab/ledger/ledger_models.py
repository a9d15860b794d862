"""Versions, judgements and transitions in the ledger."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Select, func, insert, select

from trimtab.contracts import Stage, Training, Verdict, from_plain, plain, sha256
from trimtab.ledger import tables
from trimtab.ledger.engine import Database
from trimtab.ledger.records import (
    OPEN_STATES,
    JudgementRecord,
    JudgementState,
    Transition,
    TransitionRecord,
    VersionRecord,
)


class ModelLedger(Database):
    """Which versions there are, how they were judged, and where they were moved."""

    def record_version(
        self,
        model: str,
        *,
        version: str,
        run_key: str,
        training: Training,
        event_time: datetime,
        refit_of: str | None = None,
    ) -> None:
        """Write a registered version, and open its judgement, in one transaction; a refit is judged by its sibling."""
        with self.write() as connection:
            connection.execute(
                insert(tables.versions).values(
                    model=model,
                    version=version,
                    run_key=run_key,
                    training=plain(training),
                    refit_of=refit_of,
                    at=self.now(),
                )
            )
            if refit_of is not None:
                return
            self.record_judgement(
                model,
                run_key=run_key,
                version=version,
                state="OPEN",
                reason="registered, not judged yet",
                event_time=event_time,
            )

    def versions(self, model: str, *, only: Collection[str] | None = None) -> dict[str, VersionRecord]:
        """Return all versions that trimtab registered, or those of them that are named, by version."""
        table = tables.versions
        wanted = table.c.model == model
        if only is not None:
            wanted &= table.c.version.in_(only)
        with self.read() as connection:
            rows = connection.execute(select(table).where(wanted).order_by(table.c.id)).all()
        return {
            row.version: VersionRecord(
                version=row.version,
                run_key=row.run_key,
                training=from_plain(Training, row.training),
                refit_of=row.refit_of,
                at=row.at,
            )
            for row in rows
        }

    def version_of(self, model: str, run_key: str) -> VersionRecord | None:
        """Return the version that a training run registered."""
        return next((record for record in self.versions(model).values() if record.run_key == run_key), None)

    def record_judgement(
        self,
        model: str,
        *,
        run_key: str,
        version: str | None,
        state: JudgementState,
        reason: str,
        event_time: datetime,
        verdict: Verdict | None = None,
    ) -> None:
        """Write a new state of a judgement."""
        with self.write() as connection:
            connection.execute(
                insert(tables.judgements).values(
                    model=model,
                    run_key=run_key,
                    version=version,
                    state=state,
                    reason=reason,
                    evidence=None if verdict is None else plain(verdict),
                    evidence_sha256=None if verdict is None else sha256(verdict),
                    event_time=event_time,
                    at=self.now(),
                )
            )

    def judgements(self, model: str, *, since: datetime | None = None) -> list[JudgementRecord]:
        """Return all states of all judgements, or those since an event time, oldest first."""
        wanted = tables.judgements.c.model == model
        return self._judgements(
            wanted if since is None else wanted & (tables.judgements.c.event_time >= since)
        )

    def evidence(self, model: str, sha256: str) -> Verdict | None:
        """Return the verdict with this evidence hash."""
        table = tables.judgements
        found = self._judgements((table.c.model == model) & (table.c.evidence_sha256 == sha256))
        return found[0].verdict if found else None

    def judgement_of(self, model: str, run_key: str) -> JudgementRecord | None:
        """Return the newest state of one run's judgement."""
        newest = self._newest(model)
        found = self._judgements(
            tables.judgements.c.id.in_(newest) & (tables.judgements.c.run_key == run_key)
        )
        return found[0] if found else None

    def verdicts(self, model: str) -> list[JudgementRecord]:
        """Return the judgements that carry a verdict, oldest first."""
        return [record for record in self.judgements(model) if record.verdict is not None]

    def under_judgement(self, model: str) -> set[str]:
        """Return the versions whose judgement is open."""
        table = tables.judgements
        wanted = table.c.id.in_(self._newest(model)) & table.c.state.in_(OPEN_STATES)
        with self.read() as connection:
            rows = connection.execute(select(table.c.version).where(wanted)).scalars()
            return {version for version in rows if version is not None}

    def open_challenger(self, model: str) -> str | None:
        """Return the newest version whose judgement is open, None when there is none."""
        table = tables.judgements
        found = self._judgements(table.c.id.in_(self._newest(model)) & table.c.state.in_(OPEN_STATES))
        versions = [one.version for one in found if one.version is not None]
        return versions[-1] if versions else None

    def open_judgement(self, model: str) -> JudgementRecord | None:
        """Return the newest judgement that was made and is not ended: it has a verdict, and looks left."""
        table = tables.judgements
        found = self._judgements(table.c.id.in_(self._newest(model)) & table.c.state.in_(("HOLD", "ASK")))
        made = [one for one in found if one.verdict is not None]
        return made[-1] if made else None

    def _newest(self, model: str) -> Select[tuple[int]]:
        table = tables.judgements
        return select(func.max(table.c.id)).where(table.c.model == model).group_by(table.c.run_key)

    def _judgements(self, wanted: ColumnElement[bool]) -> list[JudgementRecord]:
        table = tables.judgements
        with self.read() as connection:
            rows = connection.execute(select(table).where(wanted).order_by(table.c.id)).all()
        return [
            JudgementRecord(
                run_key=row.run_key,
                version=row.version,
                state=row.state,
                reason=row.reason,
                verdict=None if row.evidence is None else from_plain(Verdict, row.evidence),
                evidence_sha256=row.evidence_sha256,
                event_time=row.event_time,
                at=row.at,
            )
            for row in rows
        ]

    def intend(self, transition: Transition) -> None:
        """Write the intent of a transition; once a key."""
        self._phase(transition, "intent")

    def complete(self, transition: Transition) -> None:
        """Write that a transition is done; once a key."""
        self._phase(transition, "done")

    def _phase(self, transition: Transition, phase: str) -> None:
        table = tables.transitions
        with self.write() as connection:
            key = {"model": transition.model, "key": transition.key, "phase": phase}
            if connection.execute(select(table.c.id).filter_by(**key)).first() is not None:
                return
            connection.execute(
                insert(table).values(
                    **key,
                    version=transition.version,
                    to_stage=transition.to_stage,
                    replaces=transition.replaces,
                    actor=transition.actor,
                    reason=transition.reason,
                    evidence_sha256=transition.evidence_sha256,
                    event_time=transition.event_time,
                    at=self.now(),
                )
            )

    def transitions(self, model: str, *, to: Stage | None = None) -> list[TransitionRecord]:
        """Return all intents and completions, or those of transitions to one stage, oldest first."""
        table = tables.transitions
        wanted = table.c.model == model
        if to is not None:
            wanted &= table.c.to_stage == to
        with self.read() as connection:
            rows = connection.execute(select(table).where(wanted).order_by(table.c.id)).all()
        return [
            TransitionRecord(
                transition=Transition(
                    model=row.model,
                    key=row.key,
                    version=row.version,
                    to_stage=row.to_stage,
                    replaces=row.replaces,
                    actor=row.actor,
                    reason=row.reason,
                    evidence_sha256=row.evidence_sha256,
                    event_time=row.event_time,
                ),
                phase=row.phase,
                at=row.at,
            )
            for row in rows
        ]

    def live(self, model: str) -> TransitionRecord | None:
        """Return the last completed move to Production; what it moved is champion, unless somebody moved it by hand."""
        moves = [record for record in self.transitions(model) if record.phase == "done"]
        return next((one for one in reversed(moves) if one.transition.to_stage == "Production"), None)

    def unfinished(self, model: str) -> list[Transition]:
        """Return the intents that were not completed, oldest first."""
        records = self.transitions(model)
        done = {record.transition.key for record in records if record.phase == "done"}
        return [
            record.transition
            for record in records
            if record.phase == "intent" and record.transition.key not in done
        ]

    def promotion_of(self, model: str, version: str) -> Transition | None:
        """Return how a version last came to Production, None when it never did or when a rollback brought it back.

        What `reconcile` restored is as it was before somebody moved it.
        """
        moves = [record.transition for record in self.transitions(model) if record.phase == "done"]
        to_production = [move for move in moves if move.version == version and move.to_stage == "Production"]
        last = next((move for move in reversed(to_production) if not move.key.startswith("restore:")), None)
        return last if last is not None and last.promotes else None

    def promoted_at(self, model: str, version: str) -> datetime | None:
        """Return the event time at which a version last went to Production."""
        moves = [record.transition for record in self.transitions(model) if record.phase == "done"]
        to_production = [move for move in moves if move.version == version and move.to_stage == "Production"]
        return to_production[-1].event_time if to_production else None
