"""What gunicorn starts: `trimtab.serve.wsgi:application()`.

    gunicorn --config python:trimtab.serve.gunicorn_settings --bind 127.0.0.1:8080 'trimtab.serve.wsgi:application()'

Without `--preload`: the thread that follows promotions would stay behind in the parent.
"""

import atexit
import logging

from flask import Flask

from trimtab import settings
from trimtab.clock import system_clock
from trimtab.ledger.ledger import Ledger
from trimtab.origin.origin import Origin
from trimtab.predictions.opening import open_log
from trimtab.predictions.writer import LogWriter
from trimtab.registry import production
from trimtab.registry.mlflow_store import Store
from trimtab.serve import tokens
from trimtab.serve.app import create_app
from trimtab.serve.holder import Follower, ModelHolder
from trimtab.serve.preparing import preparer
from trimtab.serve.shadow import Shadow


def application() -> Flask:
    """Compose the service from the stores that the environment names; parameters are those of the origin.

    Raises:
        StoreUnreachable: The origin does not answer; MLflow, the ledger and the prediction log it waits for.
        Unfit: The tokens cannot be used, or the prediction log is one of another trimtab.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # the holder tells a cause once, this each retry
    clients = tokens.from_environment()
    where = settings.read()
    origin = Origin(where)
    wanted = origin.params(origin.head())
    ledger, registry, model = Ledger(where.ledger), Store(where.mlflow), wanted.model.name
    prepare = preparer(registry, wanted, where.home / "models")

    champion = ModelHolder(find=lambda: production.champion(ledger, registry, model), prepare=prepare)
    store = open_log(where.prediction_log, wanted.predictions)
    log = LogWriter(store, where.spool, wanted.predictions, system_clock)
    holders, shadow, former = [champion], None, None
    if wanted.serve.shadow_rows:
        challenger = ModelHolder(
            find=lambda: production.challenger(ledger, registry, model), prepare=prepare, keeps=False
        )
        holders.append(challenger)
        shadow = Shadow(challenger, log, wanted.data.label, wanted.serve.shadow_rows)
    if wanted.serve.holdback_share:
        former = ModelHolder(
            find=lambda: production.former(ledger, registry, model), prepare=prepare, keeps=False
        )
        holders.append(former)
    app = create_app(champion, log, wanted, system_clock, tokens=clients, former=former, shadow=shadow)
    log.start()
    atexit.register(log.close)  # gunicorn's worker ends as a process does, after its last request
    Follower(holders, wanted.serve.refresh_seconds).start()
    return app
