"""The ledger: what was asked, decided, measured and moved, and why. Append-only but for leases."""

from trimtab.ledger.ledger_data import DataLedger
from trimtab.ledger.ledger_erasures import ErasureLedger
from trimtab.ledger.ledger_models import ModelLedger
from trimtab.ledger.ledger_people import PeopleLedger
from trimtab.ledger.ledger_trigger import TriggerLedger


class Ledger(DataLedger, TriggerLedger, ModelLedger, PeopleLedger, ErasureLedger):
    """All tables of one ledger database.

    >>> ledger = Ledger("sqlite://")
    >>> ledger.migrate()
    >>> ledger.batches("flight-delay")
    []
    """
