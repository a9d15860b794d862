"""Recommends the numbers of the policy for one history, and says how sure it is."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

from trimtab.evaluate.race import leaders
from trimtab.replay.history import History
from trimtab.replay.play import play
from trimtab.replay.policies import trimtab
from trimtab.replay.scorecard import difference_to, losses, summed
from trimtab.trigger.policy import Rules

_FEWEST = 20
"""Smallest number of served batches. The standard error of fewer says little."""
_SURE = 2.0
"""Standard errors that a setting must be ahead by."""
_REGRETS = (0.01, 0.02, 0.03, 0.04, 0.06, 0.1)
_AGES = (4, 8, 12, 16)


def recommend(history: History, rules: Rules) -> str:
    """Replay other numbers than those of `rules` and fewer windows, and return a recommendation in one sentence.

    The best of many settings looks better than it is, so a setting is recommended only if it is ahead by two standard
    errors.

    Args:
        history: With all its models fitted.
        rules: The numbers in use. All windows of the history are in use.
    """
    record, windows = history.record(), tuple(history.windows)
    served = len(record) - history.begin - history.delay
    if served < _FEWEST:
        return (
            f"Too little history for a recommendation: {served} served batches, {_FEWEST} are needed. "
            f"Keep {_named(rules, windows)}."
        )
    settings = {
        _named(each, candidates): trimtab(each, leading)
        for candidates in {windows, *((name,) for name in windows)}
        for leading in [list(leaders(record, replace(rules.race, candidates=candidates), rules.gate))]
        for each in _numbers(rules)
    }
    played = {
        name: play(name, policy, record, begin=history.begin, delay=history.delay)
        for name, policy in settings.items()
    }
    present = played[_named(rules, windows)]
    best = min(played.values(), key=summed)
    difference, error = difference_to(best, present)
    loss = float(losses(present).mean())
    figures = f"it would have saved {-difference / loss:.2%} ± {error / loss:.2%} of the loss"
    if -difference > _SURE * error:
        return f"Set {best.policy}: {figures}, with {best.deployments} instead of {present.deployments} deployments."
    return f"Keep {present.policy}. The best setting was {best.policy}: {figures}, which is within the noise."


def _numbers(rules: Rules) -> Iterator[Rules]:
    regrets, ages = {*_REGRETS, rules.regret}, {*_AGES, rules.max_age_batches}
    for regret, age in product(sorted(regrets), sorted(ages)):
        yield replace(rules, regret=regret, max_age_batches=age)


def _named(rules: Rules, windows: Sequence[str]) -> str:
    return f"regret {rules.regret:g}, max-age {rules.max_age_batches}, windows {' and '.join(windows)}"
