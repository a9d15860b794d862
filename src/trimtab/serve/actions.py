"""What a client does upon an answer, and the chance that it does just that: kept with the prediction.

Whoever acts on a model sees the labels of some actions only (a loan that is not given is never paid back). With the
propensities, the rows that are seen can be weighed into an estimate for all: Horvitz and Thompson, JASA 47 (1952) 663-685.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trimtab.errors import RequestRejected
from trimtab.predictions.records import LONGEST_ID, Prediction
from trimtab.serve.faults import Fault, fault, is_id

ACTION, ACTIONS, NAME, PROPENSITY = "action", "actions", "name", "propensity"


@dataclass(frozen=True, slots=True)
class Action:
    """What is done, and the chance of it, above 0 and at most 1."""

    name: str
    propensity: float


Actions = Sequence[Action | None]


def parted(content: Mapping[str, Any]) -> tuple[dict[str, Any], Actions]:
    """Return a body without its actions, and an action or None for each row; no actions at all when it has none.

    Raises:
        RequestRejected: They are not one a row, or one has no name or no chance.
    """
    rest = dict(content)
    if ACTION in rest and "row" in rest:
        found, rows = [rest.pop(ACTION)], 1
    elif ACTIONS in rest and isinstance(rest.get("rows"), list):
        found, rows = rest.pop(ACTIONS), len(rest["rows"])
    else:
        return rest, ()
    if not isinstance(found, list) or len(found) != rows:
        raise RequestRejected([fault(ACTIONS, f"a list of {rows}, an object or null for each row", found)])
    faults = [one for number, action in enumerate(found) for one in _faults(number, action)]
    if faults:
        raise RequestRejected(faults)
    return rest, [one and Action(one[NAME], float(one[PROPENSITY])) for one in found]


def noted(predictions: Sequence[Prediction], actions: Actions) -> list[Prediction]:
    """Return the predictions with the actions upon them; the propensity of an action stands for the role's."""
    return [
        replace(one, action=action.name, propensity=action.propensity) if action else one
        for one, action in zip(predictions, actions or [None] * len(predictions), strict=True)
    ]


def same(predictions: Sequence[Prediction], actions: Actions) -> bool:
    """Tell whether predictions were asked for with these actions."""
    return len(predictions) == len(actions or predictions) and list(predictions) == noted(
        [replace(one, action=None) for one in predictions], actions
    )


def _faults(number: int, action: object) -> list[Fault]:
    if action is None:
        return []
    if not isinstance(action, Mapping) or action.keys() != {NAME, PROPENSITY}:
        return [fault(ACTION, f"an object of {NAME} and {PROPENSITY}, or null", action, row=number)]
    faults, name, chance = [], action[NAME], action[PROPENSITY]
    if not is_id(name):
        faults.append(fault(NAME, f"text of 1 to {LONGEST_ID} characters", name, row=number))
    if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0 < chance <= 1:
        faults.append(fault(PROPENSITY, "a number above 0, at most 1", chance, row=number))
    return faults
