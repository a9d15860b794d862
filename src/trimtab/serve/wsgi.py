"""What gunicorn starts: `gunicorn --threads 4 'trimtab.serve.wsgi:application()'`."""

import logging

import pandas as pd
from flask import Flask
from sklearn.pipeline import Pipeline

from trimtab import params, stores
from trimtab.clock import system_clock
from trimtab.contracts import Champion
from trimtab.data.origin import Origin
from trimtab.registry import load, production
from trimtab.registry.ledger import Ledger
from trimtab.registry.mlflow_store import Store
from trimtab.serve.app import create_app
from trimtab.serve.holder import ModelHolder
from trimtab.serve.prediction_log import PredictionLog
from trimtab.train.features import design


def application() -> Flask:
    """Compose the service from the stores that the environment names; parameters are those of the origin."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    where = stores.from_environment()
    origin = Origin(where)
    wanted = origin.params(origin.head())
    ledger, registry = Ledger(where.ledger), Store(where.mlflow)

    def find() -> Champion | None:
        return production.champion(ledger, registry, wanted.model.name)

    def take(champion: Champion) -> Pipeline:
        return load.load(
            champion.source, champion.digest, wanted.model.trusted_types, cache=where.home / "models"
        )

    def warm(pipeline: Pipeline) -> object:
        return pipeline.predict_proba(design(_any_row(wanted), wanted.data))

    holder = ModelHolder(find=find, load=take, warm=warm, refresh_seconds=wanted.serve.refresh_seconds)
    holder.follow()
    return create_app(holder, PredictionLog(where.prediction_log), wanted, system_clock)


def _any_row(wanted: params.Params) -> pd.DataFrame:
    row = {
        name: feature.categories[0] if isinstance(feature, params.Category) else feature.min
        for name, feature in wanted.data.features.items()
    }
    return pd.DataFrame([row])
