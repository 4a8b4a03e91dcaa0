"""What a metric of Sparkplug B must be, whatever it was said in. Pure.

Each function yields findings: the number of the check in assertions.py, and what is wrong, or nothing if it is right.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from gateway.mqtt.sparkplug.schema import Datatype, Message

Finding = tuple[int, str]
"""Number of the check, and what is wrong; an empty text if it passes."""

_TYPES: Final = range(1, 35)
_BASIC: Final = range(1, 15)
GOOD: Final = 192
_QUALITY: Final = (0, GOOD, 500)
_FIELDS: Final = {
    **dict.fromkeys((Datatype.INT8, Datatype.INT16, Datatype.INT32, Datatype.UINT8, Datatype.UINT16), ("int_value",)),
    **dict.fromkeys((Datatype.INT64, Datatype.UINT64, Datatype.DATETIME), ("long_value",)),
    Datatype.UINT32: ("int_value", "long_value"),  # the standard says the first, the implementations do the second
    Datatype.FLOAT: ("float_value",),
    Datatype.DOUBLE: ("double_value",),
    Datatype.BOOLEAN: ("boolean_value",),
    **dict.fromkeys((Datatype.STRING, Datatype.TEXT, Datatype.UUID), ("string_value",)),
    Datatype.DATASET: ("dataset_value",),
    Datatype.TEMPLATE: ("template_value",),
    **dict.fromkeys((Datatype.BYTES, Datatype.FILE, *range(22, 35)), ("bytes_value",)),
}
"""In which field a value of a datatype is."""


def called(metric: Message) -> str:
    """Return how to speak of a metric."""
    return repr(metric["name"]) if metric.get("name") else f"alias {metric.get('alias')}"


def properties(metric: Message) -> list[tuple[str, Message]]:
    """Return the properties of a metric by key, as many as there are keys and values."""
    found = metric.get("properties", {})
    return list(zip(found.get("keys", []), found.get("values", []), strict=False))


def birth(number: int, metric: Message) -> Iterator[Finding]:
    """Hold a metric of a birth against the standard; `number` is the check for what births must have."""
    name, datatype = called(metric), metric.get("datatype")
    fields = _values(metric)
    if not metric.get("name"):
        yield number, "a metric has no name"
    elif datatype is None:
        yield number, f"{name} has no datatype"
    elif bool(metric.get("is_null")) == bool(fields):
        yield number, f"{name} has a value and is null" if fields else f"{name} has no value and is not null"
    elif fields and datatype in _TYPES and fields[0] not in _FIELDS.get(datatype, fields):
        yield number, f"{name} has datatype {datatype} and its value in {fields[0]}"
    else:
        yield number, ""
    if datatype is not None:
        yield 42, "" if datatype in _TYPES else f"{name} has datatype {datatype}"
    yield from _both(metric)
    for key, value in properties(metric):
        yield 44, "" if "type" in value else f"{name}: property {key} has no type"


def data(metric: Message) -> Iterator[Finding]:
    """Hold a metric of data against the standard."""
    yield from _both(metric)
    if metric.get("is_null") and _values(metric):
        yield 42, f"{called(metric)} has a value and is null"


def in_order(metrics: Iterable[Message]) -> Iterator[Finding]:
    """Hold the order of the metrics of one message against the standard."""
    times = [metric.get("timestamp", 0) for metric in metrics if not metric.get("is_historical")]
    yield 41, "" if times == sorted(times) else "metrics are not in the order of their timestamps"


def alike(what: str, names: Sequence[str]) -> Iterator[Finding]:
    """Hold names against each other: those that differ only in case are one to some readers."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        yield 4, "" if other == name else f"{what} {other!r} and {name!r} differ only in case"


def _both(metric: Message) -> Iterator[Finding]:
    name = called(metric)
    yield 25, "" if metric.get("timestamp") else f"{name} has no timestamp"
    if "properties" in metric:
        keys, values = metric["properties"].get("keys", []), metric["properties"].get("values", [])
        same = len(keys) == len(values)
        yield 44, "" if same else f"{name} has {len(keys)} keys of properties and {len(values)} values"
    for key, value in properties(metric):
        if "type" in value:
            yield 44, "" if value["type"] in _TYPES else f"{name}: property {key} has type {value['type']}"
        if key == "Quality":
            right = value.get("type") == Datatype.INT32 and value.get("int_value") in _QUALITY
            yield 45, "" if right else f"{name} has quality {value}"
    if "dataset_value" in metric:
        yield from _data_set(name, metric["dataset_value"])


def templates(verb: str, metrics: Sequence[Message], known: dict[str, set[str]]) -> Iterator[Finding]:
    """Hold templates against the standard; `known` are the members of each definition, which are added to."""
    for metric in (metric for metric in metrics if "template_value" in metric):
        name, template = called(metric), metric["template_value"]
        members = {member.get("name", "") for member in template.get("metrics", [])}
        for parameter in template.get("parameters", []):
            right = parameter.get("name") and parameter.get("type") in _BASIC
            right = right and set(_values(parameter)) <= set(_FIELDS[parameter["type"]])
            yield 63, "" if right else f"{name} has a parameter {parameter}"
        if template.get("is_definition"):
            known[metric.get("name", "")] = members
            wrong = "has a reference" if template.get("template_ref") else "is not in an NBIRTH"
            yield 61, "" if verb == "NBIRTH" and not template.get("template_ref") else f"definition {name} {wrong}"
            continue
        yield 61, "" if "is_definition" in template else f"{name} does not say whether it is a definition"
        reference = template.get("template_ref")
        strange = members - known.get(reference, set())
        wrong = f"is of {reference!r}, which nobody has defined" if reference not in known else f"has members {strange}"
        yield 62, "" if reference in known and not strange else f"instance {name} {wrong}"


def _data_set(name: str, found: Message) -> Iterator[Finding]:
    columns, types = found.get("columns", []), found.get("types", [])
    right = found.get("num_of_columns") == len(columns) == len(types) and all(t in _BASIC for t in types)
    right = right and all(len(row.get("elements", [])) == len(columns) for row in found.get("rows", []))
    yield 60, "" if right else f"{name}: {found.get('num_of_columns')} columns, headers {columns}, types {types}"


def _values(metric: Message) -> list[str]:
    return [key for key in metric if key.endswith("_value")]
