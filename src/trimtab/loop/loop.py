"""Open the stores that a task works on."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from trimtab import settings
from trimtab.contracts import ModelVersion
from trimtab.data.quarantine import Quarantine
from trimtab.errors import Unfit
from trimtab.ledger import Batch, Lease, Ledger, Version, queries, state
from trimtab.origin.origin import Origin
from trimtab.params import Params
from trimtab.registry import load
from trimtab.registry.mlflow_store import Store
from trimtab.settings import Settings

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True, kw_only=True)
class Loop:
    """The stores, and the parameters of one commit of the origin."""

    stores: Settings
    origin: Origin
    ledger: Ledger
    commit: str
    params: Params

    @property
    def model(self) -> str:
        """The registered model's name."""
        return self.params.model.name

    @cached_property
    def registry(self) -> Store:
        """MLflow."""
        return Store(self.stores.mlflow)

    @property
    def quarantine(self) -> Quarantine:
        """The folder of refused batches and rows."""
        return Quarantine(self.stores.quarantine)

    def at(self, commit: str) -> "Loop":
        """Return the same stores with the parameters of another commit."""
        return replace(self, commit=commit, params=self.origin.params(commit))

    def champion(self) -> ModelVersion | None:
        """The version in Production, by the ledger."""
        return queries.champion(self.ledger)

    def load(self, version: Version) -> "Pipeline":
        """Load a version as the service would; raises the errors of `trimtab.registry.load.load`."""
        return load.load(
            version.training.source,
            version.training.digest,
            self.params.model.trusted_types,
            cache=self.stores.home / "models",
        )

    def event_now(self) -> datetime:
        """The event clock, or the system clock before the first batch."""
        return state.event_now(self.ledger.all(Batch)) or self.ledger.now()

    def take_lease(self, holder: str) -> Lease:
        """Take the lease that allows one retraining at a time.

        Raises:
            LeaseHeld: Another run holds it.
        """
        return self.ledger.leases.take(
            self.lease_name, holder=holder, minutes=self.params.trigger.lease_minutes
        )

    @property
    def lease_name(self) -> str:
        """Name of the lease that allows one retraining at a time."""
        return f"retrain:{self.model}"


def open_loop() -> Loop:
    """Open the stores that the environment names, with the parameters at the head of the origin.

    Raises:
        StoreUnreachable: The origin or the ledger does not answer.
        ParamsError: The origin's `params.yaml` cannot be used.
        Unfit: The ledger has another schema than this code, or one of many models has another's origin.
    """
    where = settings.read()
    origin = Origin(where)
    commit = origin.head()
    params = origin.params(commit)
    ledger = Ledger(where.ledger, params.model.name)
    ledger.check()
    if where.models and where.model not in (None, params.model.name):
        raise Unfit(
            f"Expected the origin of model {where.model!r}, got {where.origin}, which is of {params.model.name!r}",
            "Correct TRIMTAB_ORIGIN_URL or TRIMTAB_MODEL of that model in the folder of TRIMTAB_MODELS.",
        )
    return Loop(stores=where, origin=origin, ledger=ledger, commit=commit, params=params)
