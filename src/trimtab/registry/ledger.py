"""The ledger: what was asked, decided, measured and moved, and why. Append-only but for leases."""

from trimtab.registry.ledger_data import DataLedger
from trimtab.registry.ledger_erasures import ErasureLedger
from trimtab.registry.ledger_models import ModelLedger
from trimtab.registry.ledger_people import PeopleLedger
from trimtab.registry.ledger_trigger import TriggerLedger


class Ledger(DataLedger, TriggerLedger, ModelLedger, PeopleLedger, ErasureLedger):
    """All tables of one ledger database.

    >>> ledger = Ledger("sqlite://")
    >>> ledger.migrate()
    >>> ledger.batches("flight-delay")
    []
    """
