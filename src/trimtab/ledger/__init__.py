"""The facts of one model: what was ingested, measured, decided and moved, and why."""

from trimtab.ledger.ledger import Ledger, Snapshot

__all__ = ["Ledger", "Snapshot"]
