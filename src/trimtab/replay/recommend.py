"""Recommends the numbers of the policy for one history, and says how sure it is."""

from collections.abc import Iterator, Sequence
from itertools import product

from trimtab.evaluate.race import leaders
from trimtab.params import Params
from trimtab.replay.history import History
from trimtab.replay.play import play
from trimtab.replay.policies import changed, trimtab
from trimtab.replay.scorecard import difference_to, losses, summed

_FEWEST = 20
"""Smallest number of served batches. The standard error of fewer says little."""
_SURE = 2.0
"""Standard errors that a setting must be ahead by."""
_REGRETS = (0.01, 0.02, 0.03, 0.04, 0.06, 0.1)
_AGES = (4, 8, 12, 16)


def recommend(history: History, params: Params) -> str:
    """Replay other numbers than those of `params` and fewer windows, and return a recommendation in one sentence.

    The best of many settings looks better than it is, so a setting is recommended only if it is ahead by two standard
    errors.

    Args:
        history: With all its models fitted.
        params: The numbers in use. All windows of the history are in use.
    """
    record, windows = history.record(), tuple(history.windows)
    served = len(record) - history.begin - history.delay
    if served < _FEWEST:
        return (
            f"Too little history for a recommendation: {served} served batches, {_FEWEST} are needed. "
            f"Keep {_named(params, windows)}."
        )
    settings = {
        _named(each, candidates): trimtab(each, leading)
        for candidates in {windows, *((name,) for name in windows)}
        for leading in [
            list(leaders(record, changed(params, windows=map(history.windows.__getitem__, candidates))))
        ]
        for each in _numbers(params)
    }
    played = {
        name: play(name, policy, record, begin=history.begin, delay=history.delay)
        for name, policy in settings.items()
    }
    present = played[_named(params, windows)]
    best = min(played.values(), key=summed)
    difference, error = difference_to(best, present)
    loss = float(losses(present).mean())
    figures = f"it would have saved {-difference / loss:.2%} ± {error / loss:.2%} of the loss"
    if -difference > _SURE * error:
        return f"Set {best.policy}: {figures}, with {best.deployments} instead of {present.deployments} deployments."
    return f"Keep {present.policy}. The best setting was {best.policy}: {figures}, which is within the noise."


def _numbers(params: Params) -> Iterator[Params]:
    regrets, ages = {*_REGRETS, params.trigger.regret}, {*_AGES, params.trigger.max_age_batches}
    for regret, age in product(sorted(regrets), sorted(ages)):
        yield changed(params, regret=regret, max_age_batches=age)


def _named(params: Params, windows: Sequence[str]) -> str:
    return f"regret {params.trigger.regret:g}, max-age {params.trigger.max_age_batches}, windows {' and '.join(windows)}"
