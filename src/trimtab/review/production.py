"""`trimtab production`: what a pull request is compared with, in one folder that needs no secret to be read."""

import shutil
from pathlib import Path

from trimtab import params, settings
from trimtab.project.champion import champion
from trimtab.registry.load import MODEL_FILE, load


def production(folder: Path, root: Path = Path()) -> str:
    """Write `champion.yaml` and the file of the version in Production; the batches go there by `dvc push`.

    Raises:
        UnsafeModel: The file is not the one of the ledger.
        StoreUnreachable: Ledger or MLflow does not answer.
    """
    found, cache = champion(root), settings.read().home / "models"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy2(root / "champion.yaml", folder / "champion.yaml")
    if found is None:
        return "No version is in Production: the baseline plays champion"
    load(found.source, found.digest, params.load(root / params.FILE).model.trusted_types, cache=cache)
    kept = folder / "models" / found.digest
    kept.mkdir(parents=True, exist_ok=True)
    shutil.copy2(cache / found.digest / MODEL_FILE, kept / MODEL_FILE)
    return f"Version {found.version} is in {folder}"
