"""The evidence of one verdict as a page that a person opens."""

from jinja2 import Environment

from trimtab import params
from trimtab.contracts import Verdict
from trimtab.evaluate.compare import UNBOUNDED

_WIDTH, _HEIGHT, _PAD = 760, 220, 46
_SPLIT, _GAP = 540, 24
"""Where the blocks end on the left, and how far from there what is pooled begins."""
_COLOURS = {"PROMOTE": "#1a7f37", "HOLD": "#9a6700", "REJECT": "#cf222e", "ASK": "#0969da"}

# Blue and orange, which the colour-blind can tell apart (Okabe and Ito 2008), are the colours of the bars.
_PAGE = Environment(autoescape=True).from_string("""\
{% macro line(x1, x2, y1, y2, stroke, dash="", width=1) -%}
<line x1="{{ "%.1f" % x1 }}" x2="{{ "%.1f" % x2 }}" y1="{{ "%.1f" % y1 }}" y2="{{ "%.1f" % y2 }}"
{#- #} stroke="#{{ stroke }}" stroke-width="{{ width }}" stroke-dasharray="{{ dash or "none" }}"/>
{%- endmacro -%}
{% macro text(x, y, content) -%}
<text x="{{ "%.1f" % x }}" y="{{ "%.1f" % y }}">{{ content }}</text>
{%- endmacro -%}
{% macro grid(scale, left, right) -%}
{% for value, colour, dash in scale.marks(gate.min_gain) %}
{{- line(left + pad, right, scale.y(value), scale.y(value), colour, dash) }}
{{- text(left, scale.y(value) + 4, "%+.3g" % value) }}
{%- endfor %}
{%- endmacro -%}
<!doctype html><meta charset="utf-8"><title>{{ verdict.kind }}</title><style>
body{font:15px/1.5 system-ui,sans-serif;max-width:{{ width }}px;margin:2rem auto;padding:0 1rem;color:#1f2328}
h1{color:{{ colours[verdict.kind] }};margin-bottom:0} td,th{padding:.2rem .8rem .2rem
0;text-align:left;vertical-align:top} .bad td:first-child{color:#cf222e;font-weight:600} .ok
td:first-child{color:#1a7f37} svg text{font-size:11px;fill:#59636e}
</style><h1>{{ verdict.kind }}</h1><p>{{ verdict.reason }}</p> <h2>Gain by block, and over all blocks so far</h2>
{% if gains -%}
<svg viewBox="0 0 {{ width }} {{ height + 6 }}" role="img" aria-label="gain by block, and over all blocks">
{{- grid(bars, 0, split) }}{{ grid(pooled, split + gap, width) }}
{%- set step = (split - pad) / gains | length %}
{%- for block in verdict.blocks %}
{%- set left, gain = pad + loop.index0 * step, gains[loop.index0] %}
{%- set ends = (bars.y(gain), bars.y(0)) | sort %}
<rect x="{{ "%.1f" % left }}" y="{{ "%.1f" % ends[0] }}" width="{{ "%.1f" % (step * 0.8) }}"
{#- #} height="{{ "%.1f" % (ends[1] - ends[0]) }}" fill="{{ "#0072b2" if gain > 0 else "#d55e00" }}"><title>
{{- block.batch }} block {{ block.number }}: {{ "%+.4g" % gain }} over {{ block.rows }} rows</title></rect>
{%- if loop.changed(block.batch) %}{{ text(left, height, block.batch) }}{% endif %}
{%- endfor %}
{%- set centre = (split + gap + pad + width) / 2 %}
{{ line(centre, centre, pooled.y(total.lower), pooled.y(total.upper), "1f2328", width=2) }}
{%- for end in (total.lower, total.upper) %}
{{ line(centre - 8, centre + 8, pooled.y(end), pooled.y(end), "1f2328") }}
{%- endfor %}
<circle cx="{{ centre }}" cy="{{ "%.1f" % pooled.y(total.gain) }}" r="4" fill="#1f2328"/>
{{- text(centre + 12, pooled.y(total.gain) + 4, "%+.4g" % total.gain) }}{{ text(centre - 30, height, "all blocks") }}
</svg>
{%- else -%}
<p>No labelled rows.</p>
{%- endif %}
<p>A bar is one block of {{ gate.block_hours }} h: what the challenger loses less per row than {{ verdict.champion_name }}.
To the right, on a scale of its own, is the gain over all blocks with its bounds; the dashed line is gate.min_gain, which
the lower bound has to pass.</p>
<h2>Batches of this look</h2><table><tr><th>batch<th>labelled rows<th>loss of {{ verdict.champion_name }}
<th>loss of the challenger<th>AUC<th>AUC of the challenger
{%- for ours, theirs in scores %}
<tr><td>{{ ours.batch }}<td>{{ ours.labelled }}<td>{{ "%.4f" % theirs.loss }}<td>{{ "%.4f" % ours.loss }}
{%- for auc in (theirs.auc, ours.auc) %}<td>{{ "%.3f" % auc if auc is number else "–" }}{% endfor %}
{%- endfor %}</table>
<h2>What else must hold</h2><table>
{%- for check in verdict.checks %}
<tr class={{ "ok" if check.passed else "bad" }}><td>{{ "held" if check.passed else "failed" }}<td>{{ check.name -}}
<td>{{ check.sentence }}
{%- endfor %}</table>
<h2>Is the gate alive?</h2><p>
{%- for name, kind in verdict.probes.items() %}{{ name }}: {{ kind }}{{ ", " if not loop.last }}{% endfor -%}
. Labels known by {{ verdict.cutoff.isoformat() }}.</p>
""")


class _Scale:
    """From values to heights in the chart."""

    def __init__(self, *values: float) -> None:
        self.low, self.high = min(values), max(values)

    def y(self, value: float) -> float:
        inside = max(self.low, min(self.high, value))
        return _HEIGHT - _PAD / 2 - (inside - self.low) / ((self.high - self.low) or 1.0) * (_HEIGHT - _PAD)

    def marks(self, min_gain: float) -> list[tuple[float, str, str]]:
        """Return the values with a line, each with the colour and the dashes of its line."""
        marks = {
            **dict.fromkeys((self.low, self.high), ("eef1f4", "")),
            0.0: ("d1d9e0", ""),
            min_gain: ("59636e", "4"),
        }
        return [(value, *style) for value, style in marks.items() if self.low <= value <= self.high]


def page(verdict: Verdict, gate: params.Gate) -> str:
    """Return one self-contained HTML page: the sentence, the gain block by block, every check, and the probes."""
    gains = [(block.champion - block.challenger) / block.rows for block in verdict.blocks]
    total = verdict.comparison
    bounds = [bound for bound in (total.lower, total.upper) if abs(bound) < UNBOUNDED]
    return _PAGE.render(
        verdict=verdict,
        gate=gate,
        gains=gains,
        total=total,
        bars=_Scale(0.0, *gains),
        # Single blocks lie many times farther out than their mean: on one scale its bounds would be a dot.
        pooled=_Scale(0.0, gate.min_gain, total.gain, *bounds),
        scores=list(zip(verdict.challenger_scores, verdict.champion_scores, strict=True)),
        colours=_COLOURS,
        width=_WIDTH,
        height=_HEIGHT,
        pad=_PAD,
        split=_SPLIT,
        gap=_GAP,
    )
