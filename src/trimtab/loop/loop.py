"""Open the stores that a step works on."""

from dataclasses import dataclass
from functools import cached_property

from trimtab import settings
from trimtab.contracts import ModelVersion
from trimtab.data.quarantine import Quarantine
from trimtab.errors import Unfit
from trimtab.ledger.ledger import Ledger
from trimtab.origin.origin import Origin
from trimtab.params import Params
from trimtab.registry import production
from trimtab.registry.mlflow_store import Store
from trimtab.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Loop:
    """The stores, and the parameters that are in force: those at the head of the origin."""

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
        """The folder of what was refused."""
        return Quarantine(self.stores.quarantine)

    @property
    def lease(self) -> str:
        """Name of the lease that keeps it to one retraining in flight."""
        return f"retrain:{self.model}"

    def champion(self) -> ModelVersion | None:
        """The version in Production."""
        return production.champion(self.ledger, self.registry, self.model)


def open_loop() -> Loop:
    """Open the stores that the environment names.

    Raises:
        StoreUnreachable: The origin or the ledger does not answer.
        ParamsError: The origin's `params.yaml` cannot be used.
        Unfit: The ledger is of another revision than this code, or one of many models has another's origin.
    """
    where = settings.read()
    origin = Origin(where)
    ledger = Ledger(where.ledger)
    ledger.check()
    commit = origin.head()
    params = origin.params(commit)
    _same(params.model.name, where)
    return Loop(stores=where, origin=origin, ledger=ledger, commit=commit, params=params)


def _same(model: str, where: Settings) -> None:
    """Refuse an origin of another model; one Airflow of one model names its assets as it likes."""
    if where.models and where.model not in (None, model):
        raise Unfit(
            f"Expected the origin of model {where.model!r}, got {where.origin}, which is of {model!r}",
            "Mend TRIMTAB_ORIGIN_URL or TRIMTAB_MODEL of that model in the folder of TRIMTAB_MODELS.",
        )
