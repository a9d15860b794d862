"""`trimtab champion`: write who is champion into `champion.yaml`, so that `dvc repro` compares with it."""

from pathlib import Path

from trimtab import params, settings
from trimtab.contracts import ModelVersion
from trimtab.ledger.ledger import Ledger
from trimtab.registry import production
from trimtab.registry.mlflow_store import Store
from trimtab.trigger.planning import write_champion


def champion(root: Path = Path()) -> ModelVersion | None:
    """Look the version in Production up and write it to `champion.yaml` in `root`."""
    where = settings.read()
    model = params.load(root / params.FILE).model.name
    found = production.champion(Ledger(where.ledger), Store(where.mlflow), model)
    write_champion(root / "champion.yaml", found)
    return found
