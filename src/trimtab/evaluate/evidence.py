"""The evidence of one verdict as a page that a person opens."""

from html import escape

from trimtab import params
from trimtab.contracts import Block, Verdict
from trimtab.evaluate.compare import paired

_WIDTH, _HEIGHT, _PAD = 760, 220, 40
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
loses less per row than {escape(verdict.champion)}. The last mark is all blocks together with its bounds; the dashed
line is gate.min_gain, which the lower bound has to pass.</p> <h2>Batches of this
look</h2><table><tr><th>batch<th>labelled rows<th>loss of {escape(verdict.champion)}<th>loss of the challenger
<th>AUC<th>AUC of the challenger{scores}</table> <h2>What else must hold</h2><table>{rows}</table> <h2>Is the gate
alive?</h2><p>{probes}. Labels known by {verdict.cutoff.isoformat()}.</p>
"""


def _chart(blocks: tuple[Block, ...], verdict: Verdict, gate: params.Gate) -> str:
    if not blocks:
        return "<p>No labelled rows.</p>"
    gains = [(one.champion - one.challenger) / one.rows for one in blocks]
    total = paired(blocks, gate, error=verdict.comparison.error)
    bounds = [bound for bound in (total.lower, total.upper) if abs(bound) < 1]
    low, high = min(0.0, gate.min_gain, *gains, *bounds), max(0.0, gate.min_gain, *gains, *bounds)
    span = (high - low) or 1.0
    step = (_WIDTH - 2 * _PAD) / (len(gains) + 2)

    def y(value: float) -> float:
        return _HEIGHT - _PAD / 2 - (value - low) / span * (_HEIGHT - _PAD)

    parts = [
        f'<line x1="{_PAD}" x2="{_WIDTH}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#{colour}" {dash}/>'
        f'<text x="0" y="{y(value) + 4:.1f}">{value:+.3f}</text>'
        for value, colour, dash in ((0.0, "d1d9e0", ""), (gate.min_gain, "59636e", 'stroke-dasharray="4"'))
    ]
    for place, (block, gain) in enumerate(zip(blocks, gains, strict=True)):
        colour = "#4c9a6a" if gain > 0 else "#d1676b"
        top, bottom = sorted((y(gain), y(0.0)))
        left = _PAD + place * step
        parts.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{step * 0.8:.1f}" height="{bottom - top:.1f}" fill="{colour}">'
            f"<title>{escape(block.batch)} block {block.number}: {gain:+.4f} over {block.rows} rows</title></rect>"
        )
        if block.batch not in {other.batch for other in blocks[:place]}:
            parts.append(f'<text x="{left:.1f}" y="{_HEIGHT}">{escape(block.batch)}</text>')
    centre = _PAD + (len(gains) + 1) * step
    ends = [y(max(low, min(high, bound))) for bound in (total.lower, total.upper)]
    parts.append(
        f'<line x1="{centre:.1f}" x2="{centre:.1f}" y1="{ends[0]:.1f}" y2="{ends[1]:.1f}" stroke="#1f2328"/>'
    )
    parts.append(f'<circle cx="{centre:.1f}" cy="{y(total.gain):.1f}" r="4" fill="#1f2328"/>')
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + 6}" role="img" aria-label="gain by block">{"".join(parts)}</svg>'


def _auc(value: float | None) -> str:
    return "one class only" if value is None else f"{value:.3f}"
