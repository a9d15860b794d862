"""The result of a replay as one page that needs no other file."""

import io
import re
from collections.abc import Callable, Mapping, Sequence

import matplotlib
import numpy as np
from jinja2 import Environment
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trimtab.replay.comparison import LOOP, Result
from trimtab.replay.play import Played
from trimtab.replay.scorecard import losses

_COLOURS = {"never": "#999999", "every batch": "#009e73", LOOP: "#0072b2", "schedule": "#d55e00"}
"""Colours that the colour-blind can tell apart (Okabe and Ito 2008)."""
_MOST_LABELS = 16

_PAGE = Environment(autoescape=True).from_string("""\
<!doctype html><html lang="en"><meta charset="utf-8"><title>Replay of {{ name }}</title><style>
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1f2328}
table{border-collapse:collapse} td,th{padding:.2rem .8rem .2rem 0;text-align:right;vertical-align:top}
td:first-child,th:first-child,.text{text-align:left} th{border-bottom:1px solid #d1d9e0} svg{width:100%;height:auto}
tr.loop td{font-weight:600}
</style><h1>Replay of {{ name }}</h1>
<p>{{ batches }} labelled batches, of which {{ served }} were served after the first decision. {{ summary }}</p>
<table><tr><th>policy<th>loss<th>AUC<th>gain kept<th>deployments<th>wrong<th>wrong, schedule<th>rollbacks
<th>difference to the schedule
{%- for result in results %}{% set row = result.row %}
<tr{% if row.policy == loop %} class="loop"{% endif %}><td>{{ row.policy }}<td>{{ "%.4f" % row.loss -}}
<td>{{ "%.3f" % row.auc if row.auc is not none else "–" }}
{#- #}<td>{{ "%.0f %%" % (100 * row.gain_kept) if row.gain_kept is not none else "–" }}<td>{{ row.deployments -}}
<td>{{ row.wrong }}<td>{{ result.schedule_row.wrong }}<td>{{ row.rollbacks -}}
<td>{{ "%+.2f %% ± %.2f %%" % (100 * row.difference / row.loss, 100 * row.error / row.loss) }}
{%- endfor %}</table>
<p>The schedule deploys as often as the policy, at equal distances and without a check. The difference is in percent of the
loss; negative means that the policy loses less. The figure after ± is one standard error (Newey and West, lag 4). A
deployment is wrong if the model that it replaced would have lost less over the next four batches.</p>
<h2>Loss by batch</h2>{{ loss_plot }}
<h2>Loss saved against the schedule, added up</h2>{{ saved_plot }}
<h2>Regret</h2>{{ regret_plot }}
<p>Regret is what the champion has lost more than a fresh model since its deployment, as a share of what is at stake on one
batch. At the dashed line it asks for a deployment.</p>
<h2>What {{ loop }} did</h2><table><tr><th>after batch<th class="text">decision<th class="text">reason
{%- for batch, decision in decisions %}
<tr><td>{{ batch }}<td class="text">{{ decision.action }}<td class="text">{{ decision.reason }}
{%- endfor %}</table></html>
""")


def page(name: str, results: Sequence[Result], *, regret: float, summary: str) -> str:
    """Return the page.

    Args:
        name: Of the history.
        results: One per policy.
        regret: The limit of the regret, for the plot.
        summary: A sentence to begin with.
    """
    by_name = {result.row.policy: result for result in results}
    ours = by_name[LOOP]
    lines = {name: by_name[name].played for name in ("never", "every batch", LOOP)}
    return _PAGE.render(
        name=name,
        loop=LOOP,
        batches=len(ours.played.record),
        served=len(ours.played.scores),
        summary=summary,
        results=results,
        loss_plot=_svg(lambda axes: _losses(axes, {**lines, "schedule": ours.schedule})),
        saved_plot=_svg(lambda axes: _saved(axes, ours)),
        regret_plot=_svg(lambda axes: _regret(axes, ours.played, regret)),
        decisions=[
            (ours.played.record[place].batch, decision)
            for place, decision in enumerate(ours.played.decisions, start=ours.played.begin - 1)
            if decision.action != "SKIP"
        ],
    )


def _losses(axes: Axes, lines: Mapping[str, Played]) -> None:
    for name, played in lines.items():
        axes.plot(losses(played), color=_COLOURS[name], label=name, linewidth=1.5)
    _deployments(axes, lines[LOOP])
    axes.set_ylabel("loss per row")
    _batches(axes, lines[LOOP])


def _saved(axes: Axes, ours: Result) -> None:
    axes.plot(np.cumsum(losses(ours.schedule) - losses(ours.played)), color=_COLOURS[LOOP], label=LOOP)
    axes.axhline(0, color="#999999", linewidth=1)
    axes.set_ylabel("sum of the loss per row")
    _batches(axes, ours.played)


def _regret(axes: Axes, ours: Played, limit: float) -> None:
    regrets = [
        decision.evidence.regret.share if decision.evidence.regret else np.nan for decision in ours.decisions
    ]
    places = (
        np.arange(len(regrets)) - 1 - ours.delay
    )  # the first decision follows the batch before the first one shown
    axes.plot(places, np.array(regrets) * 100, color=_COLOURS[LOOP], label="regret")
    axes.axhline(100 * limit, color="#1f2328", linewidth=1, linestyle="dashed", label="trigger")
    _deployments(axes, ours)
    axes.set_ylabel("% of a batch's loss")
    _batches(axes, ours)


def _deployments(axes: Axes, ours: Played) -> None:
    for tenure in ours.tenures:
        place, style = tenure.since - ours.begin - 0.5, "dotted" if tenure.kind == "deployment" else "solid"
        axes.axvline(place, color=_COLOURS[LOOP], linewidth=1, linestyle=style)


def _batches(axes: Axes, ours: Played) -> None:
    names = [scored.batch for scored in ours.record[ours.begin + ours.delay :]]
    step = -(-len(names) // _MOST_LABELS)
    axes.set_xticks(range(0, len(names), step), names[::step], rotation=45, ha="right")
    axes.legend(frameon=False, ncols=4, loc="upper left", bbox_to_anchor=(0, 1.15))


def _svg(draw: Callable[[Axes], None]) -> Markup:
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "trimtab", "font.size": 9}):
        figure = Figure(figsize=(9, 3.2), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return Markup(re.sub(r"^.*?(?=<svg)", "", text.getvalue(), flags=re.DOTALL))  # the XML declaration
