"""The evidence of one verdict as a page that a person opens."""

from dataclasses import dataclass
from html import escape

from trimtab import params
from trimtab.contracts import Block, Comparison, Verdict
from trimtab.evaluate.compare import UNBOUNDED, paired

_WIDTH, _HEIGHT, _PAD = 760, 220, 46
_SPLIT, _GAP = 540, 24
"""Where the blocks end on the left, and how far from there what is pooled begins."""
_BETTER, _WORSE = "#0072b2", "#d55e00"
"""Blue and orange, which the colour-blind can tell apart (Okabe and Ito 2008)."""
_COLOURS = {"PROMOTE": "#1a7f37", "HOLD": "#9a6700", "REJECT": "#cf222e", "ASK": "#0969da"}


def page(verdict: Verdict, gate: params.Gate) -> str:
    """Return one self-contained HTML page: the sentence, the gain block by block, every check, and the probes."""
    rows = "".join(
        f"<tr class={'ok' if check.passed else 'bad'}><td>{'held' if check.passed else 'failed'}<td>{escape(check.name)}"
        f"<td>{escape(check.sentence)}"
        for check in verdict.checks
    )
    scores = "".join(
        f"<tr><td>{escape(ours.batch)}<td>{ours.labelled}<td>{theirs.loss:.4f}<td>{ours.loss:.4f}"
        f"<td>{_auc(theirs.auc)}<td>{_auc(ours.auc)}"
        for ours, theirs in zip(verdict.challenger_scores, verdict.champion_scores, strict=True)
    )
    probes = ", ".join(f"{escape(name)}: {kind}" for name, kind in verdict.probes.items())
    return f"""<!doctype html><meta charset="utf-8"><title>{verdict.kind}</title><style>
body{{font:15px/1.5 system-ui,sans-serif;max-width:{_WIDTH}px;margin:2rem auto;padding:0 1rem;color:#1f2328}}
h1{{color:{_COLOURS[verdict.kind]};margin-bottom:0}} td,th{{padding:.2rem .8rem .2rem
0;text-align:left;vertical-align:top}} .bad td:first-child{{color:#cf222e;font-weight:600}} .ok
td:first-child{{color:#1a7f37}} svg text{{font-size:11px;fill:#59636e}}
</style><h1>{verdict.kind}</h1><p>{escape(verdict.reason)}</p> <h2>Gain by block, and over all blocks so
far</h2>{_chart(verdict.blocks, verdict, gate)} <p>A bar is one block of {gate.block_hours} h: what the challenger
loses less per row than {escape(verdict.champion_name)}. To the right, on a scale of its own, is the gain over all
blocks with its bounds; the dashed line is gate.min_gain, which the lower bound has to pass.</p> <h2>Batches of this
look</h2><table><tr><th>batch<th>labelled rows<th>loss of {escape(verdict.champion_name)}<th>loss of the challenger
<th>AUC<th>AUC of the challenger{scores}</table> <h2>What else must hold</h2><table>{rows}</table> <h2>Is the gate
alive?</h2><p>{probes}. Labels known by {verdict.cutoff.isoformat()}.</p>
"""


def _chart(blocks: tuple[Block, ...], verdict: Verdict, gate: params.Gate) -> str:
    if not blocks:
        return "<p>No labelled rows.</p>"
    gains = [(block.champion - block.challenger) / block.rows for block in blocks]
    total = paired(blocks, gate, error=verdict.comparison.error)
    bounds = [bound for bound in (total.lower, total.upper) if abs(bound) < UNBOUNDED]
    bars = _Scale.of(0.0, *gains)
    # Single blocks lie many times farther out than their mean: on one scale its bounds would be a dot.
    pooled = _Scale.of(0.0, gate.min_gain, total.gain, *bounds)
    parts = [*_lines(bars, gate.min_gain, 0, _SPLIT), *_lines(pooled, gate.min_gain, _SPLIT + _GAP, _WIDTH)]
    step = (_SPLIT - _PAD) / len(gains)
    for place, (block, gain) in enumerate(zip(blocks, gains, strict=True)):
        parts.append(_bar(_PAD + place * step, step * 0.8, bars, block, gain))
        if block.batch not in {other.batch for other in blocks[:place]}:
            parts.append(f'<text x="{_PAD + place * step:.1f}" y="{_HEIGHT}">{escape(block.batch)}</text>')
    parts += _mark(pooled, total)
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT + 6}" role="img" aria-label="gain by block, and over all blocks"'
    return f"<svg {box}>{''.join(parts)}</svg>"


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float

    @classmethod
    def of(cls, *values: float) -> "_Scale":
        return cls(min(values), max(values))

    def y(self, value: float) -> float:
        inside = max(self.low, min(self.high, value))
        return _HEIGHT - _PAD / 2 - (inside - self.low) / ((self.high - self.low) or 1.0) * (_HEIGHT - _PAD)


def _lines(scale: _Scale, min_gain: float, left: float, right: float) -> list[str]:
    marks = {0.0: ("d1d9e0", ""), min_gain: ("59636e", 'stroke-dasharray="4"')}
    ends = [end for end in (scale.low, scale.high) if end not in marks]
    shown = {**marks, **{end: ("eef1f4", "") for end in ends}}
    return [
        f'<line x1="{left + _PAD:.1f}" x2="{right:.1f}" y1="{scale.y(value):.1f}" y2="{scale.y(value):.1f}" '
        f'stroke="#{colour}" {dash}/><text x="{left:.1f}" y="{scale.y(value) + 4:.1f}">{value:+.3g}</text>'
        for value, (colour, dash) in shown.items()
        if scale.low <= value <= scale.high
    ]


def _bar(left: float, width: float, scale: _Scale, block: Block, gain: float) -> str:
    top, bottom = sorted((scale.y(gain), scale.y(0.0)))
    return (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{bottom - top:.1f}" '
        f'fill="{_BETTER if gain > 0 else _WORSE}"><title>{escape(block.batch)} block {block.number}: {gain:+.4g} over '
        f"{block.rows} rows</title></rect>"
    )


def _mark(scale: _Scale, total: Comparison) -> list[str]:
    centre = (_SPLIT + _GAP + _PAD + _WIDTH) / 2
    ends = [scale.y(total.lower), scale.y(total.upper)]
    return [
        f'<line x1="{centre}" x2="{centre}" y1="{ends[0]:.1f}" y2="{ends[1]:.1f}" stroke="#1f2328" stroke-width="2"/>',
        *(
            f'<line x1="{centre - 8}" x2="{centre + 8}" y1="{end:.1f}" y2="{end:.1f}" stroke="#1f2328"/>'
            for end in ends
        ),
        f'<circle cx="{centre}" cy="{scale.y(total.gain):.1f}" r="4" fill="#1f2328"/>',
        f'<text x="{centre + 12}" y="{scale.y(total.gain) + 4:.1f}">{total.gain:+.4g}</text>',
        f'<text x="{centre - 30}" y="{_HEIGHT}">all blocks</text>',
    ]


def _auc(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
