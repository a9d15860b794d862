"""Who is champion, who challenges it, and who was it before."""

from trimtab.contracts import ModelVersion
from trimtab.errors import UnsafeModel
from trimtab.ledger.ledger import Ledger
from trimtab.registry.mlflow_store import Store


def champion(ledger: Ledger, store: Store, model: str) -> ModelVersion | None:
    """Return the version in Production with the digest that the ledger knows, or None before the first promotion.

    Raises:
        UnsafeModel: The version in Production was not registered by trimtab, so nothing vouches for its bytes.
        StoreUnreachable: MLflow or the ledger does not answer.
    """
    in_production = store.in_stage(model, "Production")
    if not in_production:
        return None
    version = in_production[-1]
    known = ledger.versions(model).get(version)
    if known is None:
        raise UnsafeModel(
            f"{model} version {version}",
            "it is in Production, but the ledger holds no digest of it: it was not registered by trimtab. "
            "Move a version of the ledger back to Production",
        )
    return known.model_version


def challenger(ledger: Ledger, store: Store, model: str) -> ModelVersion | None:
    """Return the version in Staging, None when there is none that trimtab registered.

    Raises:
        StoreUnreachable: MLflow or the ledger does not answer.
    """
    staged, known = store.in_stage(model, "Staging"), ledger.versions(model)
    return known[staged[-1]].model_version if staged and staged[-1] in known else None


def former(ledger: Ledger, store: Store, model: str) -> ModelVersion | None:
    """Return the version that the champion replaced when it was promoted, None when it replaced none.

    Raises:
        StoreUnreachable: MLflow or the ledger does not answer.
    """
    in_production, known = store.in_stage(model, "Production"), ledger.versions(model)
    promotion = ledger.promotion_of(model, in_production[-1]) if in_production else None
    found = known.get(promotion.replaces) if promotion is not None and promotion.replaces else None
    return found.model_version if found is not None else None
