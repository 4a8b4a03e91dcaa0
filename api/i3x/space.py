"""What there is: assets and tags as objects, and how they are related. What types they have is in types.py.

    acme                     Enterprise    HasChildren / HasParent
      acme/dresden           Site
        .../filler           a type of its own, an object of its tags: a composition
          .../temperature    number.Cel    HasComponent / ComponentOf

Element ids are paths, so they are the same after every restart. Those of types begin with `type:`, which no path does.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import orjson

from gateway.model import Catalog, Tag
from gateway.payload import describe

LEVELS: Final = ("Enterprise", "Site", "Area", "Line", "Cell", "Asset")
"""ISA-95 (IEC 62264-1, 5.3): what an asset is by its depth; deeper ones are assets."""
REVERSE: Final = {
    "HasParent": "HasChildren",
    "HasChildren": "HasParent",
    "HasComponent": "ComponentOf",
    "ComponentOf": "HasComponent",
}


@dataclass(slots=True, eq=False)
class Place:
    """An asset: what is below it, and its own tags, whose `names` are `"name":` and whose `ids` are `"id"`.

    `head` is `"elementId":"...",`.
    """

    path: str
    parent: "Place | None"
    id: str = ""
    head: bytes = b""
    places: list["Place"] = field(default_factory=list)
    tags: list["Leaf"] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    names: list[bytes] = field(default_factory=list)
    ids: list[bytes] = field(default_factory=list)

    @property
    def composed(self) -> bool:
        return bool(self.tags)


@dataclass(slots=True, eq=False)
class Leaf:
    """A tag, and its number in the catalog. `head` is `"elementId":"...",`."""

    tag: Tag
    number: int
    parent: Place
    head: bytes

    @property
    def id(self) -> str:
        return self.tag.path

    @property
    def numbers(self) -> list[int]:
        return [self.number]


Element = Place | Leaf


class Space:
    """All objects of a plant, as it is configured now."""

    def __init__(self, catalog: Catalog, types_uri: str) -> None:
        self._types_uri = types_uri
        self._places: dict[str, Place] = {}
        self._found: dict[str, Element] = {}
        self.roots: list[Place] = []
        self.heads = np.full(len(catalog), b"", object)
        """For each tag what `Place.head` is for an asset."""
        for number in sorted(catalog, key=lambda number: catalog[number].path):
            tag = catalog[number]
            place = self._place(tag.asset)
            leaf = self._found[tag.path] = Leaf(tag, number, place, _head(tag.path))
            place.tags.append(leaf)
            self.heads[number] = leaf.head
        for place in self._places.values():
            place.id = place.path + "/" * (place.path in self._found)  # an asset may have the path of a tag
            place.head = _head(place.id)
            place.numbers = [leaf.number for leaf in place.tags]
            place.names = [orjson.dumps(leaf.tag.name) + b":" for leaf in place.tags]
            place.ids = [orjson.dumps(leaf.id) for leaf in place.tags]
            self._found[place.id] = place

    def find(self, id: str) -> Element | None:
        """Return the object with this id, if there is one."""
        return self._found.get(id)

    def all(self) -> Iterator[Element]:
        """Yield every object: each asset, its tags, and then what is below it."""
        waiting = self.roots[::-1]
        while waiting:
            place = waiting.pop()
            yield place
            yield from place.tags
            waiting += place.places[::-1]

    def described(self, element: Element, type_id: str, *, metadata: bool) -> dict[str, Any]:
        """Return an object as the standard describes it."""
        facts: dict[str, Any] = {
            "elementId": element.id,
            "displayName": element.tag.name if isinstance(element, Leaf) else element.path.rpartition("/")[2],
            "typeElementId": type_id,
            "parentId": None if element.parent is None else element.parent.id,
            "isComposition": isinstance(element, Place) and element.composed,
            "isExtended": False,
        }
        if metadata:
            facts["metadata"] = self._metadata(element, type_id)
        return facts

    def related(self, element: Element) -> Iterator[tuple[str, Element]]:
        """Yield what an object has to do with others, by the id of the relationship."""
        if isinstance(element, Leaf):
            yield "ComponentOf", element.parent
            return
        if element.parent is not None:
            yield "HasParent", element.parent
        for place in element.places:
            yield "HasChildren", place
        for leaf in element.tags:
            yield "HasComponent", leaf

    def _place(self, path: str) -> Place:
        """The asset with this path, made with all above it if it is new."""
        if path not in self._places:
            above = path.rpartition("/")[0]
            parent = self._place(above) if above else None
            place = self._places[path] = Place(path, parent)
            (self.roots if parent is None else parent.places).append(place)
        return self._places[path]

    def _metadata(self, element: Element, type_id: str) -> dict[str, Any]:
        relationships: dict[str, list[str]] = {}
        for name, other in self.related(element):
            relationships.setdefault(name, []).append(other.id)
        facts: dict[str, Any] = {
            "typeNamespaceUri": self._types_uri,
            "sourceTypeId": type_id.removeprefix("type:"),
            "relationships": relationships,
        }
        if isinstance(element, Leaf):
            facts["description"] = element.tag.description
            facts["system"] = {
                key: {str(n): text for n, text in fact.items()} if key == "labels" else fact
                for key, fact in describe(element.tag).items()
            }
        return facts


def _head(id: str) -> bytes:
    return b'"elementId":%s,' % orjson.dumps(id)
