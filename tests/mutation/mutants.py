"""What mutmut found, each mutant named by its file, its function and the text of its change."""

import ast
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

KILLED = {
    1: "killed",
    3: "killed",
    24: "timeout",
    36: "timeout",
    152: "timeout",
    255: "timeout",
    -24: "timeout",
}
SURVIVED = {0: "survived", 5: "no test", 33: "no test"}


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """A mutant's name; no line number and no format of the source is part of it."""

    file: str
    function: str
    mutation: str

    def __str__(self) -> str:
        return f"{self.file}, {self.function}: {self.mutation}"


def read(copy: Path) -> dict[Key, int | None]:
    """Return the exit status of the tests for each mutant, None where they never ran."""
    mutants: dict[Key, int | None] = {}
    for results in sorted(copy.glob("mutants/src/**/*.py.meta")):
        source = results.with_suffix("")
        statuses = json.loads(results.read_text())["exit_code_by_key"]
        if not statuses:
            continue
        functions = {
            node.name: node
            for node in ast.walk(ast.parse(source.read_text()))
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        }
        file = source.relative_to(copy / "mutants").as_posix()
        seen: Counter[tuple[str, str]] = Counter()
        for name, status in sorted(statuses.items(), key=lambda item: _by_number(item[0])):
            mangled, _, number = name.rpartition(".")[2].partition("__mutmut_")
            mutant = functions[f"{mangled}__mutmut_{number}"]
            function = mangled.removeprefix("x_").replace("xǁ", "").replace("ǁ", ".")
            text = mutation(functions[f"{mangled}__mutmut_orig"], mutant)
            seen[function, text] += 1
            nth = seen[function, text]
            mutants[Key(file, function, text if nth == 1 else f"{text} [{nth}]")] = status
    return mutants


def _by_number(name: str) -> tuple[str, int]:
    function, _, number = name.partition("__mutmut_")
    return function, int(number)


def mutation(original: ast.AST, mutant: ast.AST) -> str:
    """Say what changed between two functions, as `before → after` of the smallest part that reads well.

    >>> before, after = ast.parse("x = f(a, b, c=1) if since < 3 else None").body, ast.parse("x = None").body
    >>> mutation(before[0], after[0])
    'x = f(a, b, c=1) if since < 3 else None → x = None'
    >>> mutation(*(ast.parse(text).body[0] for text in ("return since <   3", "return since <= 3")))
    'since < 3 → since <= 3'
    >>> mutation(*(ast.parse(text).body[0] for text in ("f(a, b, c=1)", "f(a, c=1)")))
    'f(…) without b'
    """
    path = [(original, mutant)]
    while (step := _difference(*path[-1])) is not None:
        path.append(step)
    while len(path) > 1 and not (_reads_well(path[-1][0]) and _reads_well(path[-1][1])):
        path.pop()
    before, after = path[-1]
    if isinstance(before, ast.Call) and isinstance(after, ast.Call):
        parts = [ast.unparse(part) for part in [*before.args, *before.keywords]]
        left = [ast.unparse(part) for part in [*after.args, *after.keywords]]
        if len(left) < len(parts):
            gone = next(part for part, rest in zip(parts, [*left, None], strict=False) if part != rest)
            return f"{ast.unparse(before.func)}(…) without {gone}"
    return f"{_text(before)} → {_text(after)}"


def _text(node: ast.AST) -> str:
    """The first line is the whole of an expression, and enough of a block."""
    return ast.unparse(node).splitlines()[0]


def _reads_well(node: ast.AST) -> bool:
    """A bare name or number says too little without the expression or the argument around it."""
    return isinstance(node, (ast.expr, ast.stmt, ast.keyword)) and not isinstance(
        node, (ast.Constant, ast.Name)
    )


def _difference(before: ast.AST, after: ast.AST) -> tuple[ast.AST, ast.AST] | None:
    """Return the one child that differs, None when the nodes themselves do."""
    if type(before) is not type(after):
        return None
    pairs = list(_children(before, after))
    differing = [
        (first, other)
        for field, first, other in pairs
        if field != "name" and (first is None or other is None or ast.dump(first) != ast.dump(other))
    ]
    if len(differing) != 1 or None in differing[0]:
        return None
    return differing[0]  # type: ignore[return-value]  # neither is None


def _children(before: ast.AST, after: ast.AST) -> Iterator[tuple[str, ast.AST | None, ast.AST | None]]:
    for field in before._fields:
        first, other = getattr(before, field, None), getattr(after, field, None)
        ones, others = (value if isinstance(value, list) else [value] for value in (first, other))
        for number in range(max(len(ones), len(others))):
            left = ones[number] if number < len(ones) else None
            right = others[number] if number < len(others) else None
            if isinstance(left, ast.AST) or isinstance(right, ast.AST):
                yield field, left, right
