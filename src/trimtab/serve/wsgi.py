"""What gunicorn starts: `trimtab.serve.wsgi:application()`.

    gunicorn --workers 1 --threads 4 --graceful-timeout 5 --no-control-socket 'trimtab.serve.wsgi:application()'

Without `--preload`: the thread that follows promotions would stay behind in the parent. One worker, as each has counters
of its own. gunicorn waits for the whole of `--graceful-timeout` (30 s by default) when a client keeps an idle connection
open: stay below the time after which the process manager kills. Its control socket lies in the home folder, where two
services would take it from each other.
"""

import logging

import pandas as pd
from flask import Flask
from sklearn.pipeline import Pipeline

from trimtab import params, stores
from trimtab.clock import system_clock
from trimtab.contracts import ModelVersion
from trimtab.data.origin import Origin
from trimtab.registry import load, production
from trimtab.registry.ledger import Ledger
from trimtab.registry.mlflow_store import Store
from trimtab.serve.app import create_app
from trimtab.serve.holder import ModelHolder
from trimtab.serve.prediction_log import PredictionLog
from trimtab.train.fit import answers


def application() -> Flask:
    """Compose the service from the stores that the environment names; parameters are those of the origin.

    Raises:
        StoreUnreachable: The origin or the prediction log does not answer; MLflow and the ledger it waits for.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    where = stores.from_environment()
    origin = Origin(where)
    wanted = origin.params(origin.head())
    ledger, registry = Ledger(where.ledger), Store(where.mlflow)
    sample = _any_row(wanted)

    def find() -> ModelVersion | None:
        return production.champion(ledger, registry, wanted.model.name)

    def take(champion: ModelVersion) -> Pipeline:
        return load.load(
            champion.source, champion.digest, wanted.model.trusted_types, cache=where.home / "models"
        )

    def warm(pipeline: Pipeline) -> object:
        return answers(pipeline, wanted, sample)

    holder = ModelHolder(find=find, load=take, warm=warm, refresh_seconds=wanted.serve.refresh_seconds)
    app = create_app(holder, PredictionLog(where.prediction_log), wanted, system_clock)
    holder.follow()
    return app


def _any_row(wanted: params.Params) -> pd.DataFrame:
    row = {
        name: feature.categories[0] if isinstance(feature, params.Category) else feature.min
        for name, feature in wanted.data.features.items()
    }
    return pd.DataFrame([row])
