from tests.support.builders import shipped
from trimtab.contracts import Block
from trimtab.evaluate.compare import paired
from trimtab.evaluate.gate import judge, weigh
from trimtab.evaluate.looks import error_of

GATE = shipped().gate.model_copy(update={"min_gain": 0.0})


def test_a_look_is_judged_at_its_own_share_of_the_error() -> None:
    blocks = [
        Block(batch=f"W{week}", number=day, rows=10, champion=5.0 + day / 10, challenger=4.9)
        for week in range(2)
        for day in range(7)
    ]
    for look in range(1, GATE.looks + 1):
        verdict = weigh(blocks, (), GATE, look=look, champion="version 3")
        comparison = paired(blocks, GATE, error=error_of(look, GATE))
        assert verdict.comparison == comparison
        assert (verdict.kind, verdict.reason) == judge(comparison, (), GATE, look=look, champion="version 3")
