"""Composes the service from the stores of the environment."""

import logging
from functools import lru_cache
from pathlib import Path

from flask import Flask

from trimtab import redaction, settings
from trimtab.clock import system_clock
from trimtab.contracts import ModelVersion
from trimtab.ledger import Ledger, queries
from trimtab.ledger.facts import TransitionEnd
from trimtab.origin.origin import Origin
from trimtab.params import Params
from trimtab.predictions.opening import open_log
from trimtab.predictions.timeout import call_with_timeout
from trimtab.predictions.writer import LogWriter
from trimtab.registry.mlflow_store import Store
from trimtab.serve import last_good, tokens
from trimtab.serve.app import create_app
from trimtab.serve.holder import ModelHolder, Ready, Serving, follow, summary
from trimtab.serve.preparing import preparer
from trimtab.serve.shadow import Shadow
from trimtab.settings import Settings

log = logging.getLogger(__name__)

_START_SECONDS = 30
"""Time for the stores to answer at the start. After that the service starts with the last good version from its disk."""
_LAST_GOOD_PARAMETERS = "The last good parameters are in use until the service is restarted"


def application() -> Flask:
    """Compose the service from the stores that the environment names.

    It serves the version in Production, or the last good one if that is unavailable. The parameters `data` and `model`
    come from the commit that trained the version, all others from the origin's head.

    Raises:
        StoreUnreachable: The origin does not answer, and there is no last good version.
        Unfit: The tokens cannot be used, or the prediction log is one of another trimtab.
    """
    redaction.install()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # the holder logs a cause once, urllib3 each retry
    clients = tokens.from_environment()
    where = settings.read()
    registry, models = Store(where.mlflow), where.home / "models"
    params, serving, trouble = _start(where, registry, models)
    ledger, prepare = Ledger(where.ledger, params.model.name), preparer(registry, params, models)

    @lru_cache(maxsize=1)
    def served_after(_newest: TransitionEnd | None) -> queries.Served:
        return queries.served(ledger)

    def served() -> queries.Served:
        """Read all transitions only after a further one has ended, because the holders ask every few seconds."""
        return served_after(ledger.last(TransitionEnd))

    def prepare_and_remember(version: ModelVersion) -> Ready:
        ready = prepare(version)
        last_good.write(models, Serving(champion=version, ready=ready), params)
        return ready

    champion = ModelHolder(
        find=lambda: served().champion,
        prepare=prepare_and_remember,
        serving=serving,
        note=trouble if serving else None,
    )
    champion.trouble = trouble  # until the first look
    prediction_log = open_log(where.prediction_log, params.predictions)
    writer = LogWriter(prediction_log, where.spool, params.predictions, system_clock)
    holders, shadow, former = [champion], None, None
    if params.serve.shadow_rows:
        challenger = ModelHolder(find=lambda: served().challenger, prepare=prepare, keeps=False)
        holders.append(challenger)
        shadow = Shadow(challenger, writer, params.data.label, params.serve.shadow_rows)
    if params.serve.holdback_share:
        former = ModelHolder(find=lambda: served().former, prepare=prepare, keeps=False)
        holders.append(former)
    app = create_app(champion, writer, params, system_clock, tokens=clients, former=former, shadow=shadow)
    writer.start()
    follow(holders, params.serve.refresh_seconds)
    return app


def _start(where: Settings, registry: Store, models: Path) -> tuple[Params, Serving | None, str | None]:
    """Return the parameters, the version that answers first if there is one, and what is wrong with them."""
    origin = Origin(where)
    params, serving, cause = None, None, None
    try:
        params, serving = call_with_timeout(
            lambda: _current(origin, where.ledger, registry, models), seconds=_START_SECONDS
        )
    except Exception as error:  # whatever it is, the last good version answers
        log.exception("The version in Production is unavailable")
        cause = summary(error)
    if serving is None and (state := last_good.load(models, params)) is not None:
        return *state, f"{cause or 'No version is in Production'}. {_LAST_GOOD_PARAMETERS}"
    return params or origin.params(origin.head()), serving, cause


def _current(origin: Origin, ledger: str, registry: Store, models: Path) -> tuple[Params, Serving | None]:
    """Return the current parameters, and the version in Production if there is one."""
    params = origin.params(origin.head())
    version = queries.champion(Ledger(ledger, params.model.name))
    if version is None:
        return params, None
    commit = registry.run_tags(version.run_id).get("trimtab.commit")
    if commit is not None:
        trained = origin.params(commit)
        params = params.model_copy(update={"data": trained.data, "model": trained.model})
    serving = Serving(champion=version, ready=preparer(registry, params, models)(version))
    last_good.write(models, serving, params)
    return params, serving
