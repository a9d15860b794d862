"""Composes the service from the stores of the environment."""

import logging
from functools import lru_cache
from pathlib import Path

from flask import Flask

from trimtab import redaction, settings
from trimtab.clock import system_clock
from trimtab.ledger import Ledger, RecipeEntry, TransitionEnd, queries
from trimtab.origin.origin import Origin
from trimtab.params import Params
from trimtab.predictions.opening import open_log
from trimtab.predictions.records import Role
from trimtab.predictions.timeout import call_with_timeout
from trimtab.predictions.writer import LogWriter
from trimtab.registry.mlflow_store import Store
from trimtab.serve import tokens
from trimtab.serve.app import create_app
from trimtab.serve.holder import ModelHolder, Serving, follow, summary
from trimtab.serve.preparing import last_good, preparer
from trimtab.settings import Settings

log = logging.getLogger(__name__)

_START_SECONDS = 30
"""Time for the stores to answer at the start. After that the service starts with the last good version from its disk."""
_LAST_GOOD_PARAMETERS = "The last good parameters are in use until the service is restarted"


def application() -> Flask:
    """Compose the service from the stores that the environment names.

    It serves the version in Production, or the last good one if that is unavailable. A version's data contract is that of
    the commit that trained it, all other parameters are those of the origin's head.

    Raises:
        StoreUnreachable: The origin does not answer, and there is no last good version.
        Unfit: The tokens cannot be used, or the prediction log is one of another trimtab.
    """
    redaction.install()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # the holder logs a cause once, urllib3 each retry
    clients = tokens.from_environment()
    where = settings.read()
    registry, origin, models = Store(where.mlflow), Origin(where), where.home / "models"
    params, serving, trouble = _start(where, registry, origin, models)
    holders = _holders(
        Ledger(where.ledger, params.model.name), registry, origin, params, models, serving, trouble
    )
    if trouble is None:
        holders["champion"].refresh()  # before the first request, which may have fields of another recipe
    writer = LogWriter(
        open_log(where.prediction_log, params.predictions), where.spool, params.predictions, system_clock
    )
    app = create_app(holders, writer, params, system_clock, tokens=clients)
    writer.start()
    follow(holders.values(), params.serve.refresh_seconds)
    return app


def _holders(
    ledger: Ledger,
    registry: Store,
    origin: Origin,
    params: Params,
    models: Path,
    serving: Serving | None,
    trouble: str | None,
) -> dict[Role, ModelHolder]:
    # All transitions are read only after a further one has ended, because the holders ask every few seconds.
    served_after = lru_cache(maxsize=1)(lambda newest, recipes: queries.served(ledger))

    def served() -> queries.Served:
        return served_after(ledger.last(TransitionEnd), len(ledger.keys(RecipeEntry)))

    holders: dict[Role, ModelHolder] = {
        "champion": ModelHolder(
            find=lambda: served().champion,
            prepare=preparer(registry, origin, params, models, remembers=True),
            find_recipes=lambda: served().recipes,
            serving=serving,
            note=trouble if serving else None,
        )
    }
    holders["champion"].trouble = trouble  # until the first look
    prepare = preparer(registry, origin, params, models)
    if params.serve.shadow_rows:
        holders["shadow"] = ModelHolder(find=lambda: served().challenger, prepare=prepare, keeps=False)
    if params.serve.holdback_share:
        holders["holdback"] = ModelHolder(find=lambda: served().former, prepare=prepare, keeps=False)
    return holders


def _start(
    where: Settings, registry: Store, origin: Origin, models: Path
) -> tuple[Params, Serving | None, str | None]:
    """Return the parameters, the version that answers first if there is one, and what is wrong with them."""
    params, serving, cause = None, None, None
    try:
        params, serving = call_with_timeout(
            lambda: _current(origin, where.ledger, registry, models), seconds=_START_SECONDS
        )
    except Exception as error:  # whatever it is, the last good version answers
        log.exception("The version in Production is unavailable")
        cause = summary(error)
    if serving is None and (state := last_good(models, params)) is not None:
        return *state, f"{cause or 'No version is in Production'}. {_LAST_GOOD_PARAMETERS}"
    return params or origin.params(origin.head()), serving, cause


def _current(origin: Origin, ledger: str, registry: Store, models: Path) -> tuple[Params, Serving | None]:
    """Return the current parameters, and the version in Production if there is one."""
    params = origin.params(origin.head())
    version = queries.champion(Ledger(ledger, params.model.name))
    if version is None:
        return params, None
    return params, preparer(registry, origin, params, models, remembers=True)(version)
