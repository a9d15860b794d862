"""`var/demo.html`: the year on one page without outside assets."""

from collections.abc import Sequence

from jinja2 import Environment
from markupsafe import Markup

from examples.flights.chart import draw
from examples.flights.records import Decision, Demo, Week
from examples.flights.scorecard import NEVER

_PAGE = Environment(autoescape=True, keep_trailing_newline=True).from_string("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>trimtab demo: {{ span }}</title>
<style>
:root { color-scheme: light dark; --paper: #fcfcfa; --ink: #1c1e21; --quiet: #5b6169; --grid: #d5d8dc;
  --managed: #0067a5; --never: #bf5200; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181b; --ink: #e6e7e9; --quiet: #a3a9b1; --grid: #3a3f45; --managed: #5db7f0; --never: #f0a04b; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem; }
p { margin: .25rem 0; max-width: 46rem; } .quiet { color: var(--quiet); }
figure { margin: .5rem 0 0; } svg { width: 100%; height: auto; display: block; }
svg text { font-family: system-ui, sans-serif !important; }
.key { display: inline-block; width: 1.9rem; border-top: 3px solid var(--managed); vertical-align: middle;
  margin-right: .4rem; } .key.never { border-top: 3px dashed var(--never); }
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
<p class="legend"><span><i class="key"></i>managed by trimtab, as served</span>
<span><i class="key never"></i>never retrained</span></p>
<p class="quiet">A dotted line is a promotion: the named version serves from there on. Higher AUC is better, lower log
loss is better.</p>
<figure role="img" aria-label="{{ alt }}">{{ chart }}</figure>

<h2>Scorecard</h2>
<p class="quiet">Means over the weeks above, all on the same rows. The first training is not counted. The
schedule and the weekly retraining deploy without a gate, trained on every label known by then.</p>
<div class="scroll"><table>
<tr><th>policy</th><th class="number">mean AUC</th><th class="number">mean log loss</th>
<th class="number">retrainings</th><th class="number">promotions</th></tr>
{% for line in lines -%}
<tr{{ ' class="managed"' | safe if loop.first }}><td>{{ line.policy }}</td>
{%- for cell in (number(line.mean_auc), number(line.mean_loss), line.retrainings, line.promotions) -%}
<td class="number">{{ cell }}</td>
{%- endfor %}</tr>
{% endfor %}</table></div>

<h2>Decisions</h2>
<div class="scroll"><table>
<tr><th>week</th><th>decision</th><th>reason</th><th>version</th><th>verdict of the gate</th></tr>
{% for week, decision, reason, version, outcome in decisions -%}
<tr><td class="short">{{ week }}</td><td class="short">{{ decision }}</td><td>{{ reason }}</td>
{#- -#}
<td class="short">{{ version }}</td><td>{{ outcome }}</td></tr>
{% endfor %}</table></div>

<h2>Look further</h2>
<p>If the stack is stopped, <code>make up</code> starts it again on the same data.</p>
<table>
{%- for name, where in addresses.items() -%}
<tr><th>{{ name }}</th><td><code>{{ where }}</code></td></tr>
{%- endfor %}</table>
</main>
</body>
</html>
""")


def page(demo: Demo) -> str:
    """Return the page as HTML, complete and without outside assets."""
    weeks = [week for week in demo.played if week.done]
    never = next((line for line in demo.scorecard if line.policy == NEVER), None)
    means = [f"{line.policy} {line.mean_auc:.3f}" for line in demo.scorecard[:2] if line.mean_auc is not None]
    first = demo.first.decision if demo.first else None
    return _PAGE.render(
        span=f"{weeks[0].batch} to {weeks[-1].batch}" if weeks else "nothing played yet",
        summary=_summary(weeks),
        first=(
            f"First champion: version {first.version}. {first.sentence or ''}"
            if first
            else "There is no first champion yet."
        ),
        alt=f"AUC and log loss by week. Mean AUC: {', '.join(means) or 'unknown'}.",
        chart=Markup(draw(weeks, never)),
        lines=demo.scorecard,
        number=lambda value: "–" if value is None else f"{value:.4f}",
        decisions=[row for week in weeks for row in _rows(week)] or [("no requests", "", "", "", "")],
        addresses=demo.addresses,
    )


def _summary(weeks: Sequence[Week]) -> str:
    flagged = sum(week.observed is not None and week.observed.concept_drift for week in weeks)
    return (
        f"{_count(len(weeks), 'week')} played through Airflow, MLflow, DVC and the model service: "
        f"{sum(week.served.rows for week in weeks):,} flights predicted over HTTP, concept drift in "
        f"{_count(flagged, 'week')}, {_count(sum(len(week.retrained) for week in weeks), 'retraining')}, "
        f"{_count(sum(len(week.promoted) for week in weeks), 'promotion')} over a champion."
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _rows(week: Week) -> list[tuple[str, str, str, str, str]]:
    note = [(week.batch, "not monitored", week.note, "", "")] if week.note is not None else []
    return note + [
        (
            week.batch,
            f"{decision.action} ({decision.source})",
            _reason(decision),
            f"v{decision.version}" if decision.version else "",
            _outcome(decision),
        )
        for decision in week.decisions
    ]


def _reason(decision: Decision) -> str:
    request = f"{decision.request[:1].upper()}{decision.request[1:].rstrip('.')}."
    return (
        request if decision.request in decision.reason else f"{request} {decision.action}: {decision.reason}."
    )


def _outcome(decision: Decision) -> str:
    comparison = decision.comparison
    if decision.outcome is None or comparison is None:
        return decision.outcome and decision.sentence or decision.outcome or ""
    return (
        f"{decision.outcome}: gain {comparison.gain:+.4f} per row, "
        f"{comparison.lower:+.4f} to {comparison.upper:+.4f}"
    )
