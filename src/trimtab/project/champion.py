"""`trimtab champion`: write the current champion to `champion.yaml`, which `dvc repro` scores beside the candidates."""

from pathlib import Path

from trimtab import params, settings
from trimtab.contracts import ModelVersion
from trimtab.ledger import Ledger, queries
from trimtab.trigger.planning import write_champion


def champion(root: Path = Path()) -> ModelVersion | None:
    """Look up the version in Production, write it to `champion.yaml` in `root`, and return it."""
    ledger = Ledger(settings.read().ledger, params.load(root / params.FILE).model.name)
    version = queries.champion(ledger)
    write_champion(root / "champion.yaml", version)
    return version
