"""Composes the service from the stores of the environment."""

import logging
from pathlib import Path

from flask import Flask

from trimtab import stores
from trimtab.clock import system_clock
from trimtab.contracts import ModelVersion
from trimtab.ledger.ledger import Ledger
from trimtab.origin.origin import Origin
from trimtab.params import Params
from trimtab.predictions.asking import ask
from trimtab.predictions.opening import open_log
from trimtab.predictions.writer import LogWriter
from trimtab.registry import production
from trimtab.registry.mlflow_store import Store
from trimtab.serve import last_good, tokens
from trimtab.serve.app import create_app
from trimtab.serve.holder import Follower, ModelHolder, Ready, Serving, summary
from trimtab.serve.preparing import preparer
from trimtab.serve.shadow import Shadow

log = logging.getLogger(__name__)

_START_SECONDS = 30
"""Time for the stores to answer at the start; after that the last good version answers from this machine's disk."""


def application() -> Flask:
    """Compose the service from the stores that the environment names.

    It answers with the version in Production, or with the last good one when that cannot be had. What a row looks like and
    how the model is loaded (`data`, `model`) come from the parameters at the commit that trained the version, everything
    else from those at the origin's head.

    Raises:
        StoreUnreachable: The origin does not answer, and there is no last good version.
        Unfit: The tokens cannot be used, or the prediction log is one of another trimtab.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # the holder logs a cause once, urllib3 each retry
    clients = tokens.from_environment()
    where = stores.from_environment()
    ledger, registry, models = Ledger(where.ledger), Store(where.mlflow), where.home / "models"
    params, serving, note = _start(Origin(where), ledger, registry, models)
    model, prepare = params.model.name, preparer(registry, params, models)

    def prepare_and_remember(version: ModelVersion) -> Ready:
        ready = prepare(version)
        last_good.write(models, Serving(champion=version, ready=ready), params)
        return ready

    champion = ModelHolder(
        find=lambda: production.champion(ledger, registry, model),
        prepare=prepare_and_remember,
        serving=serving,
        note=note,
    )
    prediction_log = open_log(where.prediction_log, params.predictions)
    writer = LogWriter(prediction_log, where.spool, params.predictions, system_clock)
    holders, shadow, former = [champion], None, None
    if params.serve.shadow_rows:
        challenger = ModelHolder(
            find=lambda: production.challenger(ledger, registry, model), prepare=prepare, keeps=False
        )
        holders.append(challenger)
        shadow = Shadow(challenger, writer, params.data.label, params.serve.shadow_rows)
    if params.serve.holdback_share:
        former = ModelHolder(
            find=lambda: production.former(ledger, registry, model), prepare=prepare, keeps=False
        )
        holders.append(former)
    app = create_app(champion, writer, params, system_clock, tokens=clients, former=former, shadow=shadow)
    writer.start()
    Follower(holders, params.serve.refresh_seconds).start()
    return app


def _start(
    origin: Origin, ledger: Ledger, registry: Store, models: Path
) -> tuple[Params, Serving | None, str | None]:
    """Return the parameters, who answers if anybody can, and what is wrong with them."""
    params: Params | None = None
    serving, cause, note = None, "No version is in Production", None
    try:
        params, serving = ask(lambda: _current(origin, ledger, registry, models), seconds=_START_SECONDS)
    except Exception as error:  # whatever it is, the last good version answers
        log.exception("The version in Production cannot be had")
        cause = summary(error)
    if serving is None and (state := _last_good(models, params)) is not None:
        params, serving = state
        note = f"{cause}. The last good parameters are in use until the service is restarted"
    return params or origin.params(origin.head()), serving, note


def _current(origin: Origin, ledger: Ledger, registry: Store, models: Path) -> tuple[Params, Serving | None]:
    """Return the parameters in force, and the version in Production if there is one."""
    params = origin.params(origin.head())
    version = production.champion(ledger, registry, params.model.name)
    if version is None:
        return params, None
    commit = registry.run_tags(version.run_id).get("trimtab.commit")
    if commit is not None:
        trained = origin.params(commit)
        params = params.model_copy(update={"data": trained.data, "model": trained.model})
    serving = Serving(champion=version, ready=preparer(registry, params, models)(version))
    last_good.write(models, serving, params)
    return params, serving


def _last_good(models: Path, params: Params | None) -> tuple[Params, Serving] | None:
    """Return the last good version with its parameters, None without one of the model that the parameters name."""
    state = last_good.read(models)
    if state is None or (params is not None and params.model.name != state.params.model.name):
        return None
    try:
        return state.params, state.serving(models)
    except Exception:  # the service can still wait for the stores
        log.exception("The last good version could not be loaded")
        return None
