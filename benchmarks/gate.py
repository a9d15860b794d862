"""`make bench-gate`: false promotions and power of the gate, beside the usual rules; then the gate on a year of flights."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks.losses import FIRST, Losses, flights_losses
from trimtab import params
from trimtab.contracts import Block
from trimtab.evaluate.gate import weigh

PAIRS = 5000
DAYS = 7
ROWS = 900
"""Rows of one day, as on flights."""

Rule = Callable[[np.ndarray, params.Gate], bool]


def pairs(count: int, weeks: int, *, gain: float, week_share: float, heavy: bool) -> Iterator[np.ndarray]:
    """Yield mean differences by week and day, shape `(weeks, 7)`, with a day's standard deviation of 1.

    `week_share` of a day's variance belongs to its week; heavy tails are Student's t with 3 degrees of freedom.
    """
    draw = np.random.default_rng(7)
    for _ in range(count):
        day = draw.standard_t(3, (weeks, DAYS)) / 3**0.5 if heavy else draw.normal(size=(weeks, DAYS))
        yield gain + week_share**0.5 * draw.normal(size=(weeks, 1)) + (1 - week_share) ** 0.5 * day


def trimtab_gate(days: np.ndarray, gate: params.Gate) -> bool:
    """Return whether the gate promotes at any of its looks."""
    for look in range(1, gate.looks + 1):
        seen = days[: gate.judge_batches + look - 1]
        blocks = [
            Block(batch=str(week), number=day, rows=ROWS, champion=float(value) * ROWS, challenger=0.0)
            for week, row in enumerate(seen)
            for day, value in enumerate(row)
        ]
        kind = weigh(blocks, (), gate, look=look, champion="champion").kind
        if kind != "HOLD":
            return kind == "PROMOTE"
    return False


def point_estimate(days: np.ndarray, gate: params.Gate) -> bool:
    """Return whether the challenger is better on the first batches: what most templates do."""
    return bool(days[: gate.judge_batches].mean() > gate.min_gain)


def row_bootstrap(share: float) -> Rule:
    """Return a rule that resamples rows, as if they were independent: its interval in the limit of many rows and resamples.

    Args:
        share: Of a day's variance that its rows explain.
    """

    def rule(days: np.ndarray, gate: params.Gate) -> bool:
        judged = days[: gate.judge_batches]
        error = (share / judged.size) ** 0.5
        return bool(judged.mean() - stats.norm.isf(gate.error) * error > gate.min_gain)

    return rule


def each_batch_from_scratch(days: np.ndarray, gate: params.Gate) -> bool:
    """Return whether a t test over the days of any single batch promotes, each at the whole error."""
    for week in days:
        error = week.std(ddof=1) / len(week) ** 0.5
        if week.mean() - stats.t.isf(gate.error, len(week) - 1) * error > gate.min_gain:
            return True
    return False


def simulated(gate: params.Gate, row_share: float) -> None:
    """Print the share of promotions of equal models, and of better ones."""
    gate = gate.model_copy(update={"min_gain": 0.0})  # at the margin itself it would be the same, shifted
    rules: dict[str, Rule] = {
        "trimtab": trimtab_gate,
        "point estimate": point_estimate,
        "row bootstrap": row_bootstrap(row_share),
        "each batch from scratch": each_batch_from_scratch,
    }
    weeks = gate.judge_batches + gate.looks - 1
    print(
        f"Share promoted of {PAIRS} pairs (95 % upper bound); stated error {gate.error:g}, {gate.looks} looks\n"
    )
    print(f"{'gain':>6}{'week':>6}{'tails':>8}" + "".join(f"{name:>24}" for name in rules))
    ours_at = 0.0
    for gain, week_share, heavy in (
        (0.0, 0.0, False), (0.0, gate.batch_correlation, False), (0.0, gate.batch_correlation, True),
        (0.0, 2 * gate.batch_correlation, False), (0.0, 2 * gate.batch_correlation, True),
        *((gain, gate.batch_correlation, False) for gain in (0.2, 0.4, 0.6, 0.8, 1.0)),
    ):  # fmt: skip
        histories = list(pairs(PAIRS, weeks, gain=gain, week_share=week_share, heavy=heavy))
        cells = []
        for name, rule in rules.items():
            promoted = sum(rule(days, gate) for days in histories)
            upper = stats.beta.ppf(0.95, promoted + 1, PAIRS - promoted) if promoted < PAIRS else 1.0
            cells.append(f"{promoted / PAIRS:>14.3f} (<{upper:.3f})")
            if name == "trimtab" and gain == 0.0 and week_share <= gate.batch_correlation:
                ours_at = max(ours_at, upper)
        print(
            f"{gain:>6.1f}{week_share:>6.2f}{'heavy' if heavy else 'normal':>8}"
            + "".join(f"{cell:>24}" for cell in cells)
        )
    print(
        "\ngain in standard deviations of a day's mean; week: share of a day's variance that its week explains"
    )
    print(
        f"worst upper bound of trimtab over equal models, up to the stated gate.batch_correlation of "
        f"{gate.batch_correlation:g}: {ours_at:.3f}; stated error {gate.error:g}. Twice that correlation is a stress"
    )


def effects(losses: Losses, gate: params.Gate) -> float:
    """Print how the differences of real pairs vary; return the share of a day's variance that rows explain."""
    print("Differences of pairs of weekly models on flights (7 day means a week)\n")
    print(f"{'models apart':>13}{'pairs':>7}{'share of the week':>19}{'share of the rows':>19}")
    shares = []
    for apart in (1, 2, 4, 8, 16):
        between, within, rows = [], [], []
        for champion in range(FIRST, len(losses.names) - apart - 8):
            days, noise = [], []
            for week in range(champion + apart, champion + apart + 8):
                blocks = losses.blocks(champion, [champion + apart], [week], gate)
                if len(blocks) == DAYS:
                    difference = losses.of[champion, week] - losses.of[champion + apart, week]
                    days.append([(block.champion - block.challenger) / block.rows for block in blocks])
                    noise.append(difference.var() * DAYS / len(difference))
            table = np.array(days)
            between.append(DAYS * table.mean(axis=1).var(ddof=1))
            within.append(table.var(axis=1, ddof=1).mean())
            rows.append(np.mean(noise))
        b, w, r = (float(np.mean(variances)) for variances in (between, within, rows))
        share, of_rows = (b - w) / (b + (DAYS - 1) * w), r / (w + max(0.0, b - w) / DAYS)
        shares.append(of_rows)
        print(f"{apart:>13}{len(between):>7}{share:>19.2f}{of_rows:>19.2f}")
    print()
    return float(np.mean(shares))


def played(losses: Losses, gate: params.Gate) -> tuple[dict[int, int], list[tuple[int, int, int]], int]:
    """Play the gate over the year, with a challenger as soon as there are batches to judge it on.

    Returns:
        The model that served each week; week, former and new model of each deployment; how many challengers were trained.
    """
    champion, first, look, judged, trained = 8, None, 0, [], 0
    served, deployed = {}, []
    for week in range(8, len(losses.names)):
        served[week], labelled_until = champion, week + 1
        if first is None and labelled_until - gate.judge_batches >= champion + (
            1 if champion == labelled_until - gate.judge_batches else 0
        ):
            first, look, trained = labelled_until - gate.judge_batches, 0, trained + 1
            judged = losses.blocks(champion, [first] * gate.judge_batches, range(first, labelled_until), gate)
        elif first is not None:
            judged = judged + losses.blocks(champion, [week if gate.refit else first], [week], gate)
        if first is None:
            continue
        look += 1
        kind = weigh(judged, (), gate, look=look, champion="champion").kind
        if kind == "PROMOTE":
            new = labelled_until if gate.refit else first
            deployed.append((labelled_until, champion, new))
            champion = new
        if kind != "HOLD":
            first = None
    return served, deployed, trained


def on_flights(losses: Losses, gate: params.Gate) -> None:
    """Print what gated deployment keeps of the gain of ungated weekly deployment, and how often a deployment was worse."""
    weeks = range(8, len(losses.names))
    never = np.array([losses.mean(8, week) for week in weeks])
    weekly = np.array([losses.mean(week, week) for week in weeks])
    policies = {
        "every week, ungated": (
            {week: week for week in weeks},
            [(week, week - 1, week) for week in weeks[1:]],
            len(weeks),
        )
    }
    for every in (2, 4):
        who = {week: 8 + (week - 8) // every * every for week in weeks}
        moves = [(week, week - every, week) for week in weeks if (week - 8) % every == 0 and week > 8]
        policies[f"every {every} weeks, ungated"] = (who, moves, len(moves))
    for refit in (True, False):
        for name, margin in (("superiority", 0.0), ("non-inferiority .005", -0.005)):
            changed = gate.model_copy(update={"refit": refit, "min_gain": margin})
            policies[f"gate, {'refit' if refit else 'judged model'}, {name}"] = played(losses, changed)
    print(f"\nA year of flights, log loss {never.mean():.4f} never, {weekly.mean():.4f} every week\n")
    print(f"{'policy':<42}{'gain kept':>22}{'trained':>9}{'deployed':>10}{'worse over 4 weeks':>26}")
    draw = np.random.default_rng(7)
    picks = draw.integers(0, len(never), (2000, len(never)))
    for name, (served, deployed, trained) in policies.items():
        ours = np.array([losses.mean(served[week], week) for week in weeks])
        kept_share = (never - ours).sum() / (never - weekly).sum()
        spread = np.quantile((never - ours)[picks].sum(1) / (never - weekly)[picks].sum(1), [0.025, 0.975])
        after = [
            np.mean([losses.mean(new, week) - losses.mean(old, week) for week in range(at, at + 4)]) > 0
            for at, old, new in deployed
            if at + 4 <= len(losses.names) and old <= at and new <= at
        ]
        worse, many = int(sum(after)), len(after)
        bounds = stats.binomtest(worse, many).proportion_ci(method="wilson") if many else None
        share = f"{worse / many:.2f} ({bounds.low:.2f} to {bounds.high:.2f})" if bounds else "-"
        print(
            f"{name:<42}{f'{kept_share:.2f} ({spread[0]:.2f} to {spread[1]:.2f})':>22}{trained:>9}"
            f"{len(deployed):>10}{share:>26}"
        )


def main() -> int:
    """Run all of it."""
    parameters = params.load(Path(params.FILE))
    losses = flights_losses(parameters)
    row_share = effects(losses, parameters.gate)
    simulated(parameters.gate, row_share)
    on_flights(losses, parameters.gate)
    return 0


if __name__ == "__main__":
    sys.exit(main())
