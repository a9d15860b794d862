"""`trimtab production`: collect what a pull request is compared with in a folder, so that its job needs no secret."""

import shutil
from pathlib import Path

from trimtab import params, settings
from trimtab.project.champion import champion
from trimtab.registry.load import MODEL_FILE, load


def production(folder: Path, root: Path = Path()) -> str:
    """Write `champion.yaml` and the model of the version in Production to a folder; `dvc push` adds the batches.

    Raises:
        UnsafeModel: The model's digest is not the one in the ledger.
        StoreUnreachable: The ledger or MLflow does not answer.
    """
    version, cache = champion(root), settings.read().home / "models"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy2(root / "champion.yaml", folder / "champion.yaml")
    if version is None:
        return "No version is in Production: the baseline is the champion"
    load(version.source, version.digest, params.load(root / params.FILE).model.trusted_types, cache=cache)
    copy = folder / "models" / version.digest
    copy.mkdir(parents=True, exist_ok=True)
    shutil.copy2(cache / version.digest / MODEL_FILE, copy / MODEL_FILE)
    return f"Version {version.version} is in {folder}"
