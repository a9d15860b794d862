"""Check that the versions last in Production can be loaded and predict as before, and that new ones can be judged."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata

from trimtab.contracts import ModelVersion, plain
from trimtab.errors import CommandFailed, Unfit
from trimtab.ledger import Ledger, Version, state
from trimtab.ledger.queries import completed
from trimtab.ops.doctor.finding import Warn
from trimtab.ops.doctor.store_checks import Places
from trimtab.origin import commands
from trimtab.registry.mlflow_store import Store
from trimtab.trigger.policy import never_decide
from trimtab.trigger.standing import standing

LAST = 3


def production(where: Places) -> str | Warn:
    """Load the last three versions, and compare the predictions on their examples with those at their training.

    Raises:
        Unfit: A version cannot be loaded or predicts differently, or the newest one was deleted in MLflow.
    """
    model, last = where.params.model.name, _last(where)
    if not last:
        return "none yet"
    stages = Store(where.stores.mlflow).stages(model)
    deleted = [version.version for version in last if version.version not in stages]
    if last[0].version in deleted:
        raise Unfit(
            f"version {last[0].version} of {model} is in Production by the ledger, but was deleted in MLflow",
            "Run `trimtab loop reconcile`, which acts by registry.foreign_change.",
        )
    results = _load(where, [version for version in last if version.version not in deleted])
    here = results[0]["here"]
    for result in results:
        if result["error"]:
            raise _refusal(model, **result)
    others = {result["version"]: result["saved"] for result in results if result["saved"] != here}
    if others or deleted:
        return Warn(" ".join(_warnings(model, here, others, deleted)))
    names = ", ".join(result["version"] for result in results)
    return f"{names} can be loaded and predict as before with scikit-learn {here}"


def blocks_of_time(where: Places) -> str | Warn:
    """Warn if batches have so few blocks of time that a comparison of models can never decide."""
    ledger = Ledger(where.stores.ledger, where.params.model.name)
    fault = never_decide(standing(ledger, where.params).record, where.params)
    return Warn(f"{fault}.") if fault else "each comparison of models can have enough"


def _warnings(model: str, here: str, others: Mapping[str, str], deleted: Sequence[str]) -> Iterator[str]:
    if others:
        names = ", ".join(f"{version} (scikit-learn {saved})" for version, saved in others.items())
        yield (
            f"version {names} of {model} can be loaded and predicts as before with scikit-learn {here}, which did not save "
            f"it and promises nothing. Keep that scikit-learn, or retrain before upgrading."
        )
    if deleted:
        yield f"version {', '.join(deleted)} of {model} was deleted in MLflow: no rollback can return to it."


def _last(where: Places) -> list[ModelVersion]:
    ledger = Ledger(where.stores.ledger, where.params.model.name)
    moves = state.to_production(completed(ledger))
    versions = list(dict.fromkeys(move.version for move in reversed(moves)))[:LAST]
    return [ledger.require(Version, version).model_version for version in versions]


def _load(where: Places, versions: list[ModelVersion]) -> list[dict[str, str]]:
    task = {"versions": [plain(version) for version in versions], "params": where.params_text}
    command = [sys.executable, "-m", "trimtab.ops.doctor.loading"]
    try:
        lines = commands.run(command, cwd=None, stdin=json.dumps(task), seconds=where.seconds)
    except CommandFailed as error:
        names, here = ", ".join(version.version for version in versions), metadata.version("scikit-learn")
        raise _refusal(where.params.model.name, names, "", here, commands.cause(error)) from error
    return [json.loads(line) for line in lines.splitlines()]


def _refusal(model: str, version: str, saved: str, here: str, error: str) -> Unfit:
    with_what = f", saved with scikit-learn {saved}," if saved else ""
    what = f"version {version} of {model}{with_what} cannot be used with scikit-learn {here}: {error.rstrip('.')}"
    keep = f"scikit-learn {saved}" if saved and saved != here else "the packages it was trained with"
    return Unfit(what, f"Keep {keep}, or retrain before upgrading.")
