"""Run mutmut with four operators that it lacks; a script, so that it may run in the folder of the copy."""

from collections.abc import Iterable

import libcst as cst
from mutmut.__main__ import cli
from mutmut.mutation.mutators import mutation_operators

_REVERSED = {
    cst.LessThan: cst.GreaterThan,
    cst.LessThanEqual: cst.GreaterThanEqual,
    cst.GreaterThan: cst.LessThan,
    cst.GreaterThanEqual: cst.LessThanEqual,
}


def negated(node: cst.If) -> Iterable[cst.If]:
    """`if x:` becomes `if not (x):`."""
    test = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    yield node.with_changes(test=cst.UnaryOperation(operator=cst.Not(), expression=test))


def removed(node: cst.Expr) -> Iterable[cst.Pass]:
    """A call for its effect becomes `pass`."""
    if isinstance(node.value, cst.Call):
        yield cst.Pass()


def reversed_order(node: cst.ComparisonTarget) -> Iterable[cst.ComparisonTarget]:
    """`x < y` becomes `x > y`."""
    if type(node.operator) in _REVERSED:
        yield node.with_changes(operator=_REVERSED[type(node.operator)]())


def returned_none(node: cst.Return) -> Iterable[cst.Return]:
    """`return x` becomes `return None`."""
    if node.value is not None and not (isinstance(node.value, cst.Name) and node.value.value == "None"):
        yield node.with_changes(value=cst.Name("None"))


if __name__ == "__main__":
    mutation_operators.extend(  # type: ignore[attr-defined]  # a list, annotated as a sequence
        [
            (cst.If, negated),
            (cst.Expr, removed),
            (cst.ComparisonTarget, reversed_order),
            (cst.Return, returned_none),
        ]
    )
    cli()
