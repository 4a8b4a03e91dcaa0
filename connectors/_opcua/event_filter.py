"""Which events a server shall tell, and what of them: an EventFilter (OPC 10000-4, 7.22.3). Pure; knows no client.

Fields are asked for by the type that defines them, so an event that is no condition has none of a condition's fields.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final

from asyncua import ua

_BASE: Final = ua.ObjectIds.BaseEventType
_CONDITION: Final = ua.ObjectIds.ConditionType
_ACKNOWLEDGEABLE: Final = ua.ObjectIds.AcknowledgeableConditionType
_ALARM: Final = ua.ObjectIds.AlarmConditionType

REFRESH_START: Final = "i=2787"
REFRESH_END: Final = "i=2788"
REFRESH_REQUIRED: Final = "i=2789"
OVERFLOW: Final = "i=3035"
_OF_THE_STREAM: Final = (REFRESH_START, REFRESH_END, REFRESH_REQUIRED, OVERFLOW)
"""Types of events by which a server speaks of the stream itself; they are wanted whatever else is."""


@dataclass(frozen=True, slots=True)
class Select:
    """A field of events: what it is called here, the type that defines it, and the browse names that lead to it.

    Without browse names it is the node of the event itself, which is the condition (OPC 10000-9, 5.5.2.13).
    """

    name: str
    type: int
    path: Sequence[ua.QualifiedName]


def _selects(type_: int, *paths: str) -> list[Select]:
    """Fields of the standard's own; the `Id` of a state is the state itself, true or false."""
    return [
        Select(path.removesuffix("/Id"), type_, [ua.QualifiedName(part, 0) for part in path.split("/")])
        for path in paths
    ]


EVENT: Final = _selects(_BASE, "EventId", "EventType", "SourceNode", "SourceName", "Time", "Message", "Severity")
"""What every event has."""

CONDITION: Final = [
    Select("ConditionId", _CONDITION, ()),
    *_selects(_CONDITION, "ConditionName", "BranchId", "Retain", "EnabledState/Id"),
    *_selects(_CONDITION, "Quality", "LastSeverity", "Comment", "ClientUserId"),
    *_selects(_ACKNOWLEDGEABLE, "AckedState/Id", "ConfirmedState/Id"),
    *_selects(_ALARM, "ActiveState/Id", "SuppressedOrShelved"),
]
"""What conditions have too, if they are of the type."""


def extra(name: str, path: Sequence[ua.QualifiedName]) -> Select:
    """Return a field that the configuration names, of whatever type the event is (OPC 10000-4, 7.7.4.5)."""
    return Select(name, _BASE, path)


def event_filter(selects: Sequence[Select], types: Sequence[ua.NodeId], severity_min: int) -> ua.EventFilter:
    """Return the filter: these fields of events of these types, or of all if there are none, from a severity on."""
    operator = ua.FilterOperator
    wanted: list[_Term] = []
    if types:
        wanted.append(reduce(lambda a, b: (operator.Or, a, b), [(operator.OfType, _literal(type_)) for type_ in types]))
    if severity_min > 1:
        least = ua.Variant(severity_min, ua.VariantType.UInt16)
        wanted.append((operator.GreaterThanOrEqual, _field("Severity"), ua.LiteralOperand(least)))
    found = ua.EventFilter(SelectClauses=[_operand(select) for select in selects])
    if wanted:
        exempt = [_literal(ua.NodeId.from_string(type_)) for type_ in _OF_THE_STREAM]
        of_the_stream: _Term = (operator.InList, _field("EventType"), *exempt)
        whole: _Term = (operator.Or, of_the_stream, reduce(lambda a, b: (operator.And, a, b), wanted))
        _add(found.WhereClause.Elements, whole)
    return found


_Term = tuple[Any, ...]
"""An operator and what it is applied to: operands, or terms."""


def _add(elements: list[ua.ContentFilterElement], term: _Term) -> None:
    """Lay a term out as elements that refer to those behind them (OPC 10000-4, 7.7.1)."""
    operator, *parts = term
    element = ua.ContentFilterElement(FilterOperator=operator, FilterOperands=[])
    elements.append(element)
    for part in parts:
        operand = ua.ElementOperand(ua.UInt32(len(elements))) if isinstance(part, tuple) else part
        element.FilterOperands.append(operand)
        if isinstance(part, tuple):
            _add(elements, part)


def _field(name: str) -> ua.SimpleAttributeOperand:
    return _operand(next(select for select in EVENT if select.name == name))


def _literal(node: ua.NodeId) -> ua.LiteralOperand:
    return ua.LiteralOperand(ua.Variant(node, ua.VariantType.NodeId))


def _operand(select: Select) -> ua.SimpleAttributeOperand:
    return ua.SimpleAttributeOperand(
        TypeDefinitionId=ua.NodeId(ua.Int32(select.type)),
        BrowsePath=list(select.path),
        AttributeId=ua.UInt32(ua.AttributeIds.Value if select.path else ua.AttributeIds.NodeId),
    )
