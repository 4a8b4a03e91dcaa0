"""Types of objects as JSON Schema, and those of relationships.

A tag is of `type:number.Cel` if it has that unit. What the configuration leaves open is seen from what comes: a type is
one of _JSON as soon as there has been a value, and `type:value`, which may be anything, if there have been several
sorts of them. An asset has a type of its own, with its tags as properties.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from api.i3x.space import LEVELS, REVERSE, Element, Leaf, Place, Space
from api.plant import Plant
from gateway.model import Batch, Kind, Tag
from gateway.model.quality import bad
from gateway.model.tag import EVENT

_JSON: Final[Mapping[str, list[str]]] = {
    "number": ["number", "null"],
    "integer": ["integer", "null"],
    "boolean": ["boolean", "null"],
    "text": ["string", "null"],
    "array": ["array", "null"],
    "event": ["object", "null"],
    "value": ["number", "string", "boolean", "object", "array", "null"],
}
_SORTS: Final = tuple(_JSON)
_OPEN: Final = len(_SORTS)
_KINDS: Final = {Kind.FLOAT: "number", Kind.INTEGER: "integer", Kind.UNSIGNED: "integer", Kind.BOOLEAN: "boolean"}


class Sorts:
    """What sort of value each tag has had so far."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._sort = np.empty(0, np.uint8)
        self._since = -1

    def look(self) -> NDArray[np.uint8]:
        """Return the place of each tag's sort in _SORTS, or _OPEN, shape (len(catalog),)."""
        more = len(self._plant.catalog) - len(self._sort)
        self._sort = np.r_[self._sort, np.full(max(0, more), _OPEN, np.uint8)]
        now = self._plant.latest.now
        changed = self._plant.latest.changed(self._since)
        for batch in self._plant.latest.read(changed[changed < len(self._sort)]):
            usable = batch.where(~bad(batch.quality) & (batch.time != 0))
            if len(usable):
                self._seen(usable.tag, _sorts(usable))
        self._since = now
        return self._sort

    def _seen(self, tag: NDArray[np.uint32], sort: NDArray[np.uint8]) -> None:
        known = self._sort[tag]
        numbers = (known <= _SORTS.index("integer")) & (sort <= _SORTS.index("integer"))
        other = np.where(numbers, _SORTS.index("number"), _SORTS.index("value"))
        self._sort[tag] = np.where((known == _OPEN) | (known == sort), sort, other)


def _sorts(batch: Batch) -> NDArray[np.uint8]:
    if batch.kind is not Kind.OBJECT:
        return np.full(len(batch), _SORTS.index(_KINDS[batch.kind]), np.uint8)
    return np.array([_SORTS.index(_sort_of(value)) for value in batch.value], np.uint8)


def _sort_of(value: Any) -> str:
    return "text" if isinstance(value, str) else "array" if isinstance(value, (list, np.ndarray)) else "value"


class Types:
    """The types of the objects in a space, as they are known now."""

    def __init__(self, space: Space, sorts: NDArray[np.uint8], types_uri: str, relationships_uri: str) -> None:
        self._sorts = sorts.copy()
        self._uri = types_uri
        self.all = {one["elementId"]: one for one in self._made(space)}
        self.relationships = {name: _relationship(name, relationships_uri) for name in REVERSE}

    def current(self, sorts: NDArray[np.uint8]) -> bool:
        """Whether nothing has been seen since that makes a difference."""
        return np.array_equal(self._sorts, sorts)

    def of(self, element: Element) -> str:
        """Return the id of the type of an object."""
        if isinstance(element, Leaf):
            return "type:" + self._kind(element)
        if element.composed:
            return "type:" + element.path
        return "type:" + LEVELS[min(element.path.count("/"), len(LEVELS) - 1)]

    def _made(self, space: Space) -> Iterator[dict[str, Any]]:
        for element in space.all():
            if isinstance(element, Leaf):
                schema = self._schema(element)
            elif element.composed:
                schema = self._composition(element)
            else:
                schema = {"type": ["object", "null"], "properties": {}}
            yield _type(self.of(element), self._uri, schema)

    def _composition(self, place: Place) -> dict[str, Any]:
        properties = {leaf.tag.name: self._schema(leaf) | _facts(leaf.tag) for leaf in place.tags}
        return {"type": "object", "properties": properties}

    def _schema(self, leaf: Leaf) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": _JSON[self._sort(leaf)]}
        return schema | ({"x-unit": leaf.tag.unit} if leaf.tag.unit else {})

    def _sort(self, leaf: Leaf) -> str:
        if leaf.tag.datatype == EVENT:
            return "event"
        seen = int(self._sorts[leaf.number])
        return ("number" if _numeric(leaf.tag) else "value") if seen == _OPEN else _SORTS[seen]

    def _kind(self, leaf: Leaf) -> str:
        """The sort of a tag, and its unit; blanks and what cannot be seen in a unit are not in it."""
        sort = self._sort(leaf)
        unit = "".join(c for c in leaf.tag.unit if c.isprintable() and not c.isspace())
        return f"{sort}.{unit}" if unit else sort


def _numeric(tag: Tag) -> bool:
    """Whether the configuration says that a tag is a number: it has a unit, a range, or limits."""
    return bool(tag.unit) or tag.low is not None or tag.limits is not None


def _facts(tag: Tag) -> dict[str, Any]:
    """What else is known of a property. Its range is said and not demanded: a device may leave it."""
    facts = {
        "description": tag.description,
        "x-range": None if tag.low is None else [tag.low, tag.high],
        "x-labels": {str(n): text for n, text in tag.labels.items()},
    }
    return {key: fact for key, fact in facts.items() if fact}


def _type(id: str, uri: str, schema: dict[str, Any]) -> dict[str, Any]:
    name = id.removeprefix("type:")
    return {
        "elementId": id,
        "displayName": name.rpartition("/")[2] if schema["type"] == "object" else name,
        "namespaceUri": uri,
        "sourceTypeId": name,
        "version": "1.0.0",
        "schema": schema,
    }


def _relationship(name: str, uri: str) -> dict[str, Any]:
    return {
        "elementId": name,
        "displayName": name,
        "namespaceUri": uri,
        "relationshipId": name,
        "reverseOf": REVERSE[name],
    }
