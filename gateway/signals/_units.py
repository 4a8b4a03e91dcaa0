"""What a formula measures, from the units of what it takes: kilowatts are not added to degrees.

What is added, compared or chosen between has to be in one unit, and so has the result with the unit that was said of
it. A number takes the unit of what it is added to or compared with. A number that multiplies may convert between units
(`torque * speed * 2 * pi / 60`), so what a product measures is known then, but not in which multiple. Functions such
as exp and log, in which empirical formulas have coefficients with units of their own, say nothing of a unit.
"""

import ast
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.model.unit import Unit, unit

_ALIKE: Final = ("abs", "floor", "ceil", "round", "min", "max", "clip")
"""Functions of values in one unit, in which they answer."""
_DIFFERENCE: Final = "K"


@dataclass(frozen=True, slots=True)
class _Known:
    """What a part is in: `text` for people; `exact` unless a number has multiplied it, `point` unless one was added."""

    unit: Unit
    text: str
    exact: bool = True
    point: bool = True


_Found = _Known | float | None
"""A number or what is a truth; None where nothing is known of a unit."""


def check(formula: str, units: Mapping[str, str], result: str) -> None:
    """Raise ValueError where a formula mixes units. `units` are UCUM, by name of the tag.

    What has no unit, or one that is not known, fits all. The formula is one that `Expression` takes.
    """
    known = {name: one for name, code in units.items() if (one := _of_code(code)) is not None}
    found = _of(ast.parse(formula.strip(), mode="eval").body, known)
    said = _of_code(result)
    if isinstance(found, _Known) and said is not None and (trouble := _apart(found, said)):
        raise ValueError(f"{formula} is in {found.text}, and not in {result}: {trouble}")


def _of_code(code: str) -> _Known | None:
    try:
        return _Known(unit(code), code) if code else None
    except ValueError:
        return None  # units of a device may be any text: what is not known is not checked


def _of(node: ast.AST, units: Mapping[str, _Known]) -> _Found:
    match node:
        case ast.Constant(value=bool() | int() | float() as value):
            return float(value)
        case ast.Name(id="pi"):
            return math.pi
        case ast.Name(id="e"):
            return math.e
        case ast.Name(id=name):
            return units.get(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            found = _of(operand, units)
            return -found if isinstance(found, float) else found
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _of(operand, units)
        case ast.BinOp(left=left, op=op, right=right):
            return _combined(node, op, _of(left, units), _of(right, units))
        case ast.Compare(left=left, comparators=others):
            _one(node, [_of(part, units) for part in (left, *others)])
            return 1.0
        case ast.IfExp(test=test, body=body, orelse=orelse):
            _of(test, units)
            return _one(node, [_of(body, units), _of(orelse, units)])
        case ast.Call(func=ast.Name(id=name), args=args):
            return _called(node, name, [_of(part, units) for part in args])
        case ast.BoolOp() | ast.UnaryOp():
            for part in ast.iter_child_nodes(node):
                _of(part, units)
            return 1.0
    return None


def _combined(node: ast.AST, op: ast.operator, left: _Found, right: _Found) -> _Found:
    match op:
        case ast.Add() | ast.Sub() | ast.Mod():
            return _sum(node, op, left, right)
        case ast.Mult():
            return _product(left, right, "*")
        case ast.Div() | ast.FloorDiv():
            return _product(left, right, "/")
        case ast.Pow() if isinstance(left, _Known) and isinstance(right, float):
            return _Known(left.unit**right, f"({left.text})^{right:g}", left.exact)
    return None


def _sum(node: ast.AST, op: ast.operator, left: _Found, right: _Found) -> _Found:
    """Degrees less degrees are a difference of temperatures, which may be added to degrees."""
    if isinstance(left, _Known) and isinstance(right, _Known) and left.unit.offset and left.exact:
        if right.unit.offset == left.unit.offset and isinstance(op, ast.Sub):
            return _Known(Unit(left.unit.dimension, left.unit.factor), _DIFFERENCE)
        if not right.unit.offset:
            _one(node, [_Known(Unit(left.unit.dimension, left.unit.factor), left.text), right])
            return left
    return _one(node, [left, right], added=True)


def _product(left: _Found, right: _Found, sign: str) -> _Found:
    if left is None or right is None:
        return None
    if isinstance(left, float) and isinstance(right, float):
        return left
    text = sign.join("" if isinstance(part, float) else part.text for part in (left, right)).strip("*")
    one, other = (_Known(Unit(), "", exact=False) if isinstance(part, float) else part for part in (left, right))
    found = one.unit * other.unit if sign == "*" else one.unit / other.unit
    return _Known(found, text.removesuffix("/"), one.exact and other.exact)


def _called(node: ast.AST, name: str, parts: Sequence[_Found]) -> _Found:
    if name in _ALIKE:
        return _one(node, parts)
    if name == "sqrt" and isinstance(parts[0], _Known):
        return _Known(parts[0].unit ** 0.5, f"({parts[0].text})^0.5", parts[0].exact)
    return None


def _one(node: ast.AST, parts: Sequence[_Found], *, added: bool = False) -> _Found:
    """The one unit of all parts. Raises ValueError if they have several."""
    known = [part for part in parts if isinstance(part, _Known)]
    for other in known[1:]:
        if trouble := _apart(known[0], other):
            raise ValueError(f"{ast.unparse(node)}: {known[0].text} and {other.text} {trouble}")
    if None in parts or not known:
        return None if None in parts else 1.0
    first = next((part for part in known if part.exact), known[0])
    shifted = added and any(isinstance(part, float) for part in parts)
    return _Known(first.unit, first.text, first.exact, first.point and not shifted)


def _apart(one: _Known, other: _Known) -> str:
    """Why two values cannot be in one unit; nothing if they can."""
    if one.unit.dimension != other.unit.dimension:
        return "do not measure the same; if numbers in the formula have units of their own, write check_units: false"
    if not (one.exact and other.exact):
        return ""
    if not math.isclose(one.unit.factor, other.unit.factor, rel_tol=1e-9):
        return f"differ by a factor of {one.unit.factor / other.unit.factor:g}: multiply one by it"
    if one.point and other.point and not math.isclose(one.unit.offset, other.unit.offset, abs_tol=1e-9):
        return f"differ by {other.unit.offset - one.unit.offset:g}: add it to one"
    return ""
