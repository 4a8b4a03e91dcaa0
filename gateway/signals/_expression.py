"""Formulas of the configuration: arithmetic, comparisons and a few functions of columns, and nothing else.

    process - air < 8.6 and speed < 1380
    torque * speed * 2 * pi / 60

They are written as Python has them and read by its parser, but never run by Python: each part of the tree is one of the
kinds listed here or refused, and becomes a function of columns of float64. A comparison is true or false; a number
counts as true unless it is 0.
"""

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, NDArray[np.float64]]
Compute = Callable[[Columns], Any]

LENGTH_MAX: Final = 2000
_DEPTH_MAX: Final = 60

_CONSTANTS: Final = {"pi": math.pi, "e": math.e}
_FUNCTIONS: Final[Mapping[str, tuple[int, int, Callable[..., Any]]]] = {
    "abs": (1, 1, np.abs),
    "sqrt": (1, 1, np.sqrt),
    "exp": (1, 1, np.exp),
    "log": (1, 1, np.log),
    "log10": (1, 1, np.log10),
    "sin": (1, 1, np.sin),
    "cos": (1, 1, np.cos),
    "tan": (1, 1, np.tan),
    "floor": (1, 1, np.floor),
    "ceil": (1, 1, np.ceil),
    "round": (1, 1, np.rint),
    "min": (2, 20, lambda *values: _folded(np.minimum, values)),
    "max": (2, 20, lambda *values: _folded(np.maximum, values)),
    "clip": (3, 3, np.clip),
}
"""By name: how many values they take, at least and at most."""
_OPERATORS: Final[Mapping[type, Callable[..., Any]]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.mod,
    ast.Pow: np.power,
    ast.USub: np.negative,
    ast.UAdd: np.positive,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}


class Expression:
    """A formula; `names` are the columns that it takes, in alphabetical order."""

    def __init__(self, text: str) -> None:
        """Raises ValueError saying what is wrong and where."""
        if len(text) > LENGTH_MAX:
            raise ValueError(f"the formula has {len(text)} characters, {LENGTH_MAX} are allowed")
        try:
            tree = ast.parse(text.strip(), mode="eval")
        except (SyntaxError, RecursionError, MemoryError) as error:
            raise ValueError(f"{text!r} is no formula: {getattr(error, 'msg', 'it is nested too deeply')}") from None
        self._text = text
        self._names: set[str] = set()
        self._compute = self._of(tree.body, 0)
        self.names: Sequence[str] = sorted(self._names)

    @property
    def boolean(self) -> bool:
        """Whether it is true or false, and no number."""
        with np.errstate(all="ignore"):
            found = self._compute({name: np.ones(1) for name in self.names})
        return bool(np.asarray(found).dtype == np.bool_)

    def __call__(self, columns: Columns) -> NDArray[Any]:
        """Return its values, float64 or bool, shape (n,), for columns of shape (n,); NaN and inf where it has none."""
        with np.errstate(all="ignore"):
            found = np.asarray(self._compute(columns))
        n = len(next(iter(columns.values()))) if columns else 1
        return np.broadcast_to(found, (n,)).astype(np.bool_ if found.dtype == np.bool_ else np.float64)

    def _of(self, node: ast.AST, depth: int) -> Compute:
        """A function of columns for a part of the tree."""
        if depth > _DEPTH_MAX:
            raise ValueError(f"{self._text!r} is nested too deeply: derive a part of it on its own")
        match node:
            case ast.Constant(value=bool() | int() | float() as value):
                number = float(value)
                return lambda _: number
            case ast.Name(id=name):
                return self._name(name)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _of_numbers(_OPERATORS[type(op)], [self._of(part, depth + 1) for part in (left, right)])
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return _applied(lambda value: ~_truth(value), [self._of(operand, depth + 1)])
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
                return _of_numbers(_OPERATORS[type(op)], [self._of(operand, depth + 1)])
            case ast.BoolOp(op=op, values=values):
                both = np.logical_and if isinstance(op, ast.And) else np.logical_or
                parts = [self._of(part, depth + 1) for part in values]
                return _applied(lambda *found: _folded(both, [_truth(one) for one in found]), parts)
            case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _OPERATORS for op in ops):
                return self._compared([left, *others], ops, depth)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                parts = [self._of(part, depth + 1) for part in (test, body, orelse)]
                return _applied(lambda truth, yes, no: np.where(_truth(truth), yes, no), parts)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
                return self._called(name, args, depth)
        raise ValueError(f"{ast.unparse(node)} is not allowed in a formula")

    def _name(self, name: str) -> Compute:
        if name in _CONSTANTS:
            value = _CONSTANTS[name]
            return lambda _: value
        self._names.add(name)
        return lambda columns: columns[name]

    def _compared(self, parts: Sequence[ast.AST], ops: Sequence[ast.cmpop], depth: int) -> Compute:
        """A chain of comparisons, such as 0 < x <= 5: all of them hold."""
        found = [self._of(part, depth + 1) for part in parts]
        operators = [_OPERATORS[type(op)] for op in ops]
        return _of_numbers(
            lambda *values: _folded(
                np.logical_and, [op(a, b) for op, a, b in zip(operators, values, values[1:], strict=False)]
            ),
            found,
        )

    def _called(self, name: str, args: Sequence[ast.AST], depth: int) -> Compute:
        least, most, function = _FUNCTIONS[name]
        if not least <= len(args) <= most:
            raise ValueError(f"{name} takes {least if least == most else f'{least} to {most}'} values, not {len(args)}")
        return _of_numbers(function, [self._of(part, depth + 1) for part in args])


def _applied(function: Callable[..., Any], parts: Sequence[Compute]) -> Compute:
    return lambda columns: function(*(part(columns) for part in parts))


def _of_numbers(function: Callable[..., Any], parts: Sequence[Compute]) -> Compute:
    """Apply a function to numbers: what is true counts as 1."""
    return lambda columns: function(*(np.asarray(part(columns), np.float64) for part in parts))


def _folded(function: Callable[[Any, Any], Any], values: Sequence[Any]) -> Any:
    found = values[0]
    for value in values[1:]:
        found = function(found, value)
    return found


def _truth(value: Any) -> Any:
    return np.asarray(value) != 0
