"""Structures of a server's own: what it says of their types, and values decoded by that (OPC 10000-6, 5.2.6 to 5.2.8).

A structure comes as the id of its encoding and bytes. The first time that an encoding is met its server is asked what
it means, so a server without structures is asked nothing, and whatever holds one is understood: a variable, a field of
an event, a structure within a structure. asyncua would make a class of every type, in one table for all servers; but an
id means something else on each server, and after its restart, and would then be decoded as what it is not.

A structure that no definition fits to its last byte stays what it is: the id of its type, and its bytes.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from asyncua import Client, ua
from asyncua.ua.ua_binary import variant_from_binary

from connectors._opcua.calls import Calls, calls, local
from connectors._opcua.extent import ARRAY, NESTING_MAX, Cursor, DecodeError
from connectors._opcua.values import FAILURES, Bounded
from connectors._opcua.variants import json_value, raw_structure

T = TypeVar("T")

TYPES_MAX: Final = 1000
"""Types that a server is asked for; structures of more are not understood. Our choice."""
_HAS_ENCODING: Final = ua.NodeId(ua.Int32(ua.ObjectIds.HasEncoding))
_HAS_SUBTYPE: Final = ua.NodeId(ua.Int32(ua.ObjectIds.HasSubtype))
_EXTENSION_OBJECT: Final = 22
_VARIANT: Final = 24
_BUILT_IN: Final = {number: number for number in range(1, 26)} | {
    26: _VARIANT,  # Number, Integer, UInteger: any of several
    27: _VARIANT,
    28: _VARIANT,
    29: 6,  # Enumeration: an Int32
}
"""How values of a data type of the standard are encoded, by its id: as this built-in type (OPC 10000-6, 5.1.2)."""

_OPTIONAL: Final = ua.StructureType.StructureWithOptionalFields
_UNIONS: Final = (ua.StructureType.Union, ua.StructureType.UnionWithSubtypedValues)
_SUBTYPED: Final = (ua.StructureType.StructureWithSubtypedValues, ua.StructureType.UnionWithSubtypedValues)


@dataclass(frozen=True, slots=True)
class _Field:
    """A field: its data type, how many dimensions it has, and its bit in the mask of those that are there, or 0."""

    name: str
    type: ua.NodeId
    rank: int
    bit: int
    subtyped: bool


@dataclass(frozen=True, slots=True)
class _Structure:
    fields: Sequence[_Field]
    form: ua.StructureType


def _standard(**fields: int) -> _Structure:
    plain = [_Field(name, ua.NodeId(ua.Int32(number)), -1, 0, False) for name, number in fields.items()]
    return _Structure(plain, ua.StructureType.Structure)


_STANDARD: Final = {
    884: _standard(Low=11, High=11),
    887: _standard(NamespaceUri=12, UnitId=6, DisplayName=21, Description=21),
    8912: _standard(Offset=4, DaylightSavingInOffset=1),
    12080: _standard(X=11, Value=10),
}
"""Range, EUInformation, TimeZoneDataType, XVType: of the standard's own, those that machines put into theirs.

Many servers do not define them, for everybody knows them (OPC 10000-3, 8; OPC 10000-8, 5.6).
"""


class Structures:
    """The types of one server, as it was when it was connected; Types of variants.py."""

    def __init__(self, namespaces: Sequence[str] = ()) -> None:
        self.namespaces = namespaces
        self._type_of: dict[ua.NodeId, ua.NodeId | None] = {}
        self._meaning: dict[ua.NodeId, _Structure | int | None] = {}
        self._unknown: set[ua.NodeId] = set()
        self._left = 0

    async def decoded(self, client: Client, decode: Callable[[], T]) -> T:
        """Return what `decode` makes of a message, with all structures in it that the server has words for."""
        found = decode()
        while self._unknown:
            await self._ask(client)
            found = decode()
        return found

    def structure(self, found: ua.ExtensionObject) -> Any:
        """Return a structure as an object by the names of its fields, or as its type and bytes."""
        if found.Body is not None and found.TypeId not in self._type_of and len(self._type_of) < TYPES_MAX:
            self._unknown.add(found.TypeId)
        type_ = self._type_of.get(found.TypeId)
        meaning = None if type_ is None else self._meaning.get(type_)
        if found.Body is None or not isinstance(meaning, _Structure):
            return raw_structure(found, self.namespaces)
        cursor = Cursor(found.Body, 0, len(found.Body))
        outside, self._left = self._left, len(found.Body) + NESTING_MAX
        try:
            value = self._object(meaning, cursor, 0)
            if cursor.at == cursor.end and cursor.sound:
                return value
        except (DecodeError, *FAILURES):  # said by its being bytes
            pass
        finally:
            self._left = outside
        return raw_structure(found, self.namespaces)

    # --- values -----------------------------------------------------------------------------

    def _object(self, structure: _Structure, cursor: Cursor, depth: int) -> dict[str, Any]:
        self._left -= 1
        if depth > NESTING_MAX or self._left < 0:  # some of nothing in each other may be without end
            raise DecodeError(f"too many structures in each other, or of nothing, at byte {cursor.at}")
        fields = structure.fields
        if structure.form in _UNIONS:
            chosen = cursor.number("I")
            fields = [fields[chosen - 1]] if chosen else []
        mask = cursor.number("I") if structure.form == _OPTIONAL else 0
        there = [field for field in fields if not field.bit or mask & field.bit]
        return {field.name: self._field(field, cursor, depth) for field in there}

    def _field(self, field: _Field, cursor: Cursor, depth: int) -> Any:
        meaning = self._meaning.get(field.type)
        if meaning is None:
            raise DecodeError(f"nobody knows the type of {field.name}")
        if field.subtyped:
            meaning = _EXTENSION_OBJECT if isinstance(meaning, _Structure) else _VARIANT
        if field.rank > 1:
            sizes = cursor.array(lambda: cursor.number("i"), 4)
            return _shaped([self._one(meaning, cursor, depth) for _ in range(_elements(sizes, cursor))], sizes)
        if field.rank < 1:
            return self._one(meaning, cursor, depth)
        if isinstance(meaning, _Structure):
            return [self._object(meaning, cursor, depth + 1) for _ in range(cursor.count(1))]
        begin = cursor.at
        cursor.elements(meaning, depth)
        return self._value(meaning | ARRAY, cursor, begin)

    def _one(self, meaning: _Structure | int, cursor: Cursor, depth: int) -> Any:
        if isinstance(meaning, _Structure):
            return self._object(meaning, cursor, depth + 1)
        begin = cursor.at
        cursor.element(meaning, depth)
        return self._value(meaning, cursor, begin)

    def _value(self, encoding: int, cursor: Cursor, begin: int) -> Any:
        """What was just passed over, which is encoded as it is in a variant behind its first byte."""
        data = bytes((encoding,)) + cursor.data[begin : cursor.at]
        return json_value(variant_from_binary(Bounded(data)).Value, self)

    # --- types ------------------------------------------------------------------------------

    async def _ask(self, client: Client) -> None:
        """Ask what the structures mean that were met. What the server does not say is not asked for again."""
        met, self._unknown = list(self._unknown), set()
        self._type_of |= dict.fromkeys(met)
        with suppress(ua.UaStatusCodeError):  # a server that cannot be asked; the values show what is not known
            ask = await calls(client)
            types = await self._above(ask, met, _HAS_ENCODING)
            await self._learn(ask, [type_ for type_ in types if type_ is not None])
            self._type_of |= dict(zip(met, types, strict=True))

    async def _learn(self, ask: Calls, types: Sequence[ua.NodeId]) -> None:
        """Ask for the definitions of types, of the types of their fields, and of those that they are derived from."""
        derived: dict[ua.NodeId, ua.NodeId | None] = {}
        wanted = [type_ for type_ in dict.fromkeys(types) if type_ not in self._meaning]
        while wanted and len(self._meaning) < TYPES_MAX:
            self._meaning |= {type_: _known(type_) for type_ in wanted}
            open_ = [type_ for type_ in wanted if self._meaning[type_] is None]
            said = await ask.read(open_, ua.AttributeIds.DataTypeDefinition)
            defined = {type_: _structure(data) for type_, data in zip(open_, said, strict=True)}
            self._meaning |= defined
            rest = [type_ for type_, structure in defined.items() if structure is None]
            above = await self._above(ask, rest, _HAS_SUBTYPE)
            derived |= dict(zip(rest, above, strict=True))
            fields = [field.type for structure in defined.values() if structure for field in structure.fields]
            wanted = [type_ for type_ in dict.fromkeys([*fields, *above]) if type_ and type_ not in self._meaning]
        self._meaning |= {type_: self._inherited(type_, derived) for type_ in derived}

    def _inherited(self, type_: ua.NodeId, derived: Mapping[ua.NodeId, ua.NodeId | None]) -> int | None:
        """What a type that is no structure is encoded as: what the first built-in type above it is."""
        for _ in range(NESTING_MAX):
            above = derived.get(type_)
            if above is None:
                break
            type_ = above
        meaning = self._meaning.get(type_)
        return meaning if isinstance(meaning, int) and meaning != _EXTENSION_OBJECT else None

    async def _above(self, ask: Calls, nodes: Sequence[ua.NodeId], reference: ua.NodeId) -> list[ua.NodeId | None]:
        """Where the first inverse reference of this type leads from each node; None where there is none."""
        found = await ask.above(nodes, reference)
        ends = [[local(end.NodeId, self.namespaces) for end in references[:1]] for references in found]
        return [end[0] if end else None for end in ends]


def _structure(data: ua.DataValue) -> _Structure | None:
    """The structure that a server defines, or None if it defines none, as for an enumeration."""
    definition = data.Value.Value if data.Value is not None else None
    if not isinstance(definition, ua.StructureDefinition):
        return None
    form, bit = definition.StructureType, 1
    fields = []
    for field in definition.Fields or ():
        optional = bool(form == _OPTIONAL and field.IsOptional)
        subtyped = bool(form in _SUBTYPED and field.IsOptional)
        fields.append(_Field(field.Name or "", field.DataType, field.ValueRank, bit if optional else 0, subtyped))
        bit <<= optional
    return _Structure(fields, form)


def _known(type_: ua.NodeId) -> _Structure | int | None:
    """What a data type of the standard means, without asking."""
    number = type_.Identifier
    if type_.NamespaceIndex or not isinstance(number, int):
        return None
    return _BUILT_IN.get(number) or _STANDARD.get(number)


def _elements(sizes: Sequence[int], cursor: Cursor) -> int:
    """How many elements of at least a byte a matrix has."""
    count = math.prod(sizes)
    if min(sizes, default=0) < 0 or count > cursor.end - cursor.at:
        raise DecodeError(f"a matrix of {sizes} cannot be in {cursor.end - cursor.at} bytes")
    return count


def _shaped(flat: list[Any], sizes: Sequence[int]) -> list[Any]:
    """The elements as lists of lists, the last dimension innermost."""
    for size in reversed(sizes[1:]):
        flat = [flat[i : i + size] for i in range(0, len(flat), size)] if size else []
    return flat
