"""Plays one history through several policies, each beside the schedule that deploys as often."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trimtab.evaluate.race import leaders
from trimtab.params import Params
from trimtab.replay.history import History
from trimtab.replay.play import Played, play
from trimtab.replay.policies import Policy, age_only, changed, equally_often, every, never, trimtab
from trimtab.replay.scorecard import Row, row

LOOP = "trimtab"
"""Name of the policy of the loop itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One policy on one history: what it did and its figures, and the same of the schedule that deploys as often."""

    played: Played
    row: Row
    schedule: Played
    schedule_row: Row


def compare(history: History, params: Params, *, others: Mapping[str, Policy] | None = None) -> list[Result]:
    """Play the history through each policy.

    The policies are: never; after every batch; after every 4th; by age alone; the policy of the loop with the first
    window only, and with all windows; a schedule with as many deployments that takes the leader of the same race; and
    `others`. The schedules deploy models of the first window, ungated.

    All policies begin with the batch after which the policy of the loop deploys its first model. Which model serves until
    then is no question of retraining.

    Args:
        history: With all its models fitted.
        params: Numbers of the policy of the loop.
        others: Further policies, by name.
    """
    record, delay = history.record(), history.delay
    raced = list(leaders(record, changed(params, windows=history.windows.values())))
    single = [next(iter(history.windows))] * len(record)
    ours = play(LOOP, trimtab(params, raced), record, begin=history.begin, delay=delay)
    begin = ours.tenures[0].since if ours.tenures else history.begin

    def played(name: str, policy: Policy) -> Played:
        return play(name, policy, record, begin=begin, delay=delay)

    def schedule(name: str, leading: Sequence[str], deployments: int) -> Played:
        return played(name, equally_often(leading, deployments, begin=begin, end=len(record) - delay))

    policies: dict[str, Policy] = {
        "never": never(single),
        "every batch": every(single, 1),
        "every 4th batch": every(single, 4),
        "age only": age_only(params, single),
        f"{LOOP}, one window": trimtab(params, single),
        LOOP: trimtab(params, raced),
        **(others or {}),
    }
    by_name = {name: played(name, policy) for name, policy in policies.items()}
    same_race = schedule("schedule with the race", raced, by_name[LOOP].deployments)
    drifts = [drift - history.first - 1 for drift in history.drifts]
    return [
        _result(policy, by_name, schedule("schedule", single, policy.deployments), drifts)
        for policy in (*by_name.values(), same_race)
    ]


def _result(policy: Played, by_name: Mapping[str, Played], schedule: Played, drifts: Sequence[int]) -> Result:
    ours, theirs = (
        row(each, never=by_name["never"], always=by_name["every batch"], schedule=schedule, drifts=drifts)
        for each in (policy, schedule)
    )
    return Result(played=policy, row=ours, schedule=schedule, schedule_row=theirs)
