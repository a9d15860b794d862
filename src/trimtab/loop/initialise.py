"""`trimtab init`: make the origin and the ledger."""

from pathlib import Path

from trimtab import params, settings
from trimtab.ledger.ledger import Ledger
from trimtab.origin import creation


def initialise(tree: Path) -> None:
    """Make the origin from a working tree as it is, the ledger's tables, and the folders; what exists stays as it is.

    Raises:
        ParamsError: The tree's `params.yaml` cannot be used; nothing was made.
        Unfit: The tree is no git checkout.
    """
    params.load(tree / params.FILE)
    where = settings.read()
    for folder in (where.home, where.landing, where.quarantine, where.work, where.dvc_cache):
        folder.mkdir(parents=True, exist_ok=True)
    if not creation.exists(where):
        creation.create(tree, where)
    Ledger(where.ledger).migrate()
