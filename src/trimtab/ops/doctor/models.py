"""The last versions that were in Production: do they load and answer with the scikit-learn that is installed here?"""

import json
import sys
from importlib import metadata
from typing import Any

from trimtab.contracts import ModelVersion, to_json
from trimtab.errors import CommandFailed, Unfit
from trimtab.ledger.ledger import Ledger
from trimtab.ops.doctor.finding import Doubt
from trimtab.ops.doctor.store_checks import Places
from trimtab.origin import commands

LAST = 3


def production(where: Places) -> str | Doubt:
    """Load the last three, each compared with what it answered to its example when it was trained.

    Raises:
        Unfit: One cannot be loaded, or answers differently: its name, and both versions of scikit-learn.
    """
    model, versions = where.params.model.name, _last(where)
    if not versions:
        return "none yet"
    told = _told(where, versions)
    here = told[0]["here"]
    for one in told:
        if one["error"]:
            raise _refusal(model, one["version"], one["saved"], here, one["error"])
    others = [f"{one['version']} (scikit-learn {one['saved']})" for one in told if one["saved"] != here]
    if others:
        return Doubt(
            found=f"version {', '.join(others)} of {model} loads and answers as before with scikit-learn {here}, which "
            f"did not save it and promises nothing. Keep that one, or retrain before upgrading."
        )
    return f"{', '.join(one['version'] for one in told)} load and answer as before with scikit-learn {here}"


def _last(where: Places) -> list[ModelVersion]:
    name, ledger = where.params.model.name, Ledger(where.stores.ledger)
    moves = [
        one.transition.version for one in ledger.transitions(name, to="Production") if one.phase == "done"
    ]
    last = list(dict.fromkeys(reversed(moves)))[:LAST]
    known = ledger.versions(name, only=last)
    return [known[version].model_version for version in last]


def _told(where: Places, versions: list[ModelVersion]) -> list[dict[str, str]]:
    asked = {"versions": json.loads(to_json(versions)), "params": where.written}
    words = [sys.executable, "-m", "trimtab.ops.doctor.loading"]
    try:
        lines = commands.run(words, cwd=None, stdin=json.dumps(asked), seconds=where.seconds)
    except CommandFailed as error:
        here = metadata.version("scikit-learn")
        names = ", ".join(one.version for one in versions)
        raise _refusal(where.params.model.name, names, "", here, commands.cause(error)) from error
    return [json.loads(line) for line in lines.splitlines()]


def _refusal(model: str, version: str, saved: str, here: str, why: Any) -> Unfit:
    with_what = f", saved with scikit-learn {saved}," if saved else ""
    what = f"version {version} of {model}{with_what} cannot be used with scikit-learn {here}: {str(why).rstrip('.')}"
    keep = f"scikit-learn {saved}" if saved and saved != here else "the packages it was trained with"
    return Unfit(what, f"Keep {keep}, or retrain before upgrading.")
