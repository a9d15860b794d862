"""`var/demo.html`: the replay on one page without outside assets."""

from collections.abc import Sequence

from jinja2 import Environment
from markupsafe import Markup

from examples.flights.chart import draw
from examples.flights.progress import difference, number
from examples.flights.records import Demo, Week

_PAGE = Environment(autoescape=True, keep_trailing_newline=True).from_string("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>trimtab demo: {{ span }}</title>
<style>
:root { color-scheme: light dark; --paper: #fcfcfa; --ink: #1c1e21; --quiet: #5b6169; --grid: #d5d8dc;
  --managed: #0067a5; --never: #bf5200; --schedule: #007a5a; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181b; --ink: #e6e7e9; --quiet: #a3a9b1; --grid: #3a3f45; --managed: #5db7f0; --never: #f0a04b;
  --schedule: #4cc9a0; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem; }
p { margin: .25rem 0; max-width: 46rem; } .quiet { color: var(--quiet); }
figure { margin: .5rem 0 0; } svg { width: 100%; height: auto; display: block; }
svg text { font-family: system-ui, sans-serif !important; }
.key { display: inline-block; width: 1.9rem; border-top: 3px solid var(--managed); vertical-align: middle;
  margin-right: .4rem; } .key.never { border-top: 3px dashed var(--never); }
.key.schedule { border-top: 3px dotted var(--schedule); }
.legend span { margin-right: 1.25rem; white-space: nowrap; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .75rem .4rem 0; border-bottom: 1px solid var(--grid); }
th { font-weight: 600; white-space: nowrap; } .number { text-align: right; font-variant-numeric: tabular-nums; }
.short { white-space: nowrap; } tr.managed td { font-weight: 600; }
code { font-size: .9em; overflow-wrap: anywhere; }
</style>
</head>
<body>
<main>
<h1>Flights from New York, {{ span }}</h1>
<p>{{ summary }}</p>
<p class="quiet">{{ first }}</p>

<h2>Quality by week</h2>
<p class="legend"><span><i class="key"></i>served by trimtab</span>
<span><i class="key schedule"></i>a schedule with as many deployments</span>
<span><i class="key never"></i>never retrained</span></p>
<p class="quiet">A dotted line is a deployment, a solid one a rollback: the named version serves from there on. Higher AUC
and lower log loss are better. Regret is what the champion has lost more than fresh models since its deployment, as a share
of the loss of one week; at the dashed line it asks for a deployment.</p>
<figure role="img" aria-label="{{ alt }}">{{ chart }}</figure>

<h2>Scorecard</h2>
<p class="quiet">Over the weeks above, all on the same rows. The first deployment is not counted. The other policies deploy
without a guard.{% if demo.withhold %} They have all labels in time; trimtab got those of {{ demo.withhold }} weeks
late.{% endif %} The last column is the mean difference per week ± its standard error (Newey and West, lag 4); negative
means that the policy loses less than the schedule.</p>
<div class="scroll"><table>
<tr><th>policy</th><th class="number">mean log loss</th><th class="number">mean AUC</th>
<th class="number">deployments</th><th class="number">loss above the schedule</th></tr>
{% for line in demo.scorecard -%}
<tr{{ ' class="managed"' | safe if loop.first }}><td>{{ line.row.policy }}</td>
{%- for cell in (number(line.row.loss), number(line.row.auc), line.row.deployments, difference(line)) -%}
<td class="number">{{ cell }}</td>
{%- endfor %}</tr>
{% endfor %}</table></div>

<h2>Decisions</h2>
<div class="scroll"><table>
<tr><th>week</th><th>decision</th><th>version</th><th>reason</th></tr>
{% for week, decision, version, reason in decisions -%}
<tr><td class="short">{{ week }}</td><td class="short">{{ decision }}</td><td>{{ version }}</td><td>{{ reason }}</td></tr>
{% endfor %}</table></div>

<h2>Look further</h2>
<p>If the stack is stopped, <code>make up</code> starts it again on the same data.</p>
<table>
{%- for name, where in demo.addresses.items() -%}
<tr><th>{{ name }}</th><td><code>{{ where }}</code></td></tr>
{%- endfor %}</table>
</main>
</body>
</html>
""")


def page(demo: Demo, regret_limit: float) -> str:
    """Return the page as HTML, complete and without outside assets; `regret_limit` is `trigger.regret`."""
    weeks = [week for week in demo.played if week.done]
    means = [f"{line.row.policy} {line.row.loss:.4f}" for line in demo.scorecard]
    first = demo.first.decision if demo.first else None
    return _PAGE.render(
        demo=demo,
        span=f"{weeks[0].batch} to {weeks[-1].batch}" if weeks else "nothing played yet",
        summary=_summary(demo, weeks),
        first=(f"Version {first.version}, {first.reason}" if first else "There is no first champion yet."),
        alt=f"AUC, log loss and regret by week. Mean log loss: {', '.join(means) or 'unknown'}.",
        chart=Markup(draw(weeks, demo.scorecard, regret_limit)),
        number=number,
        difference=difference,
        decisions=[row for week in weeks for row in _rows(week)] or [("no requests", "", "", "")],
    )


def _summary(demo: Demo, weeks: Sequence[Week]) -> str:
    actions = [decision.action for week in weeks for decision in week.decisions if decision.moves]
    return (
        f"{_count(len(weeks), 'week')} played through Airflow, MLflow, DVC and the model service: "
        f"{sum(week.served.rows for week in weeks):,} flights predicted over HTTP, {_count(demo.fits, 'model')} fitted, "
        f"{_count(actions.count('DEPLOY'), 'deployment')} after the first one, "
        f"{_count(actions.count('ROLLBACK'), 'rollback')}."
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _rows(week: Week) -> list[tuple[str, str, str, str]]:
    note = [(week.batch, "not measured", "", week.note)] if week.note is not None else []
    return note + [
        (
            week.batch,
            f"{decision.action} ({decision.source})",
            f"v{decision.version}" if decision.version else "",
            decision.reason,
        )
        for decision in week.decisions
    ]
