"""The catalog numbers the tags. A number, once given, means the same tag for ever.

Numbers are what travels in the `tag` column of a Batch; everything that is decided per tag is an array or a list
indexed by them. The catalog only grows; who stores it (the journal does) reserves the old numbers, in
order, before tags are added.
"""

import copy
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gateway.model.tag import Tag, shadow_of


class Catalog:
    """An append-only list of tags, with their paths and assets looked up both ways.

    `tags` and `assets` are indexed by number. Iterating yields the numbers of the tags that are configured,
    in the order in which they were added; those that are merely reserved (they were configured once) are left out.
    `version` grows when a device says something new of a tag (`describe`), `generation` when the configuration changes
    (`become`). Whoever keeps something per tag compares them with those of the last time; nobody is called.
    """

    def __init__(self, tags: Iterable[Tag] = ()) -> None:
        self.tags: list[Tag] = []
        self.assets: list[str] = []
        self.version = self.generation = 0
        self._shadows = False
        self._added: dict[int, Tag] = {}
        self._changed_at: dict[int, int] = {}
        self._number: dict[str, dict[str, int]] = {}  # by asset and name: whole paths would take another 70 bytes each
        self._in_order = array("I")
        self._configured = np.zeros(256, dtype=np.bool_)
        self._asset_number: dict[str, int] = {}
        self._asset_of = np.empty(256, dtype=np.uint32)
        for tag in tags:
            self.add(tag)

    def __len__(self) -> int:
        return len(self.tags)

    def __iter__(self) -> Iterator[int]:
        return iter(self._in_order)

    def __getitem__(self, number: int) -> Tag:
        return self.tags[number]

    def __contains__(self, path: str) -> bool:
        number = self._found(path)
        return number is not None and bool(self._configured[number])

    def add(self, tag: Tag) -> int:
        """Return the number of the tag; a known path keeps its number and takes the new description."""
        number = self._place(tag)
        self._added.pop(number, None)
        if not self._configured[number]:
            self._configured[number] = True
            self._in_order.append(number)
        return number

    def describe(
        self,
        number: int,
        *,
        unit: str = "",
        description: str = "",
        low: float | None = None,
        high: float | None = None,
    ) -> None:
        """Take what a device says of its tag, in place of what it said before; what the tag was added with wins."""
        added = self._added.setdefault(number, self.tags[number])
        bounds = (low, high) if added.low is None and added.high is None else (added.low, added.high)
        tag = replace(
            added,
            unit=added.unit or unit,
            description=added.description or description,
            low=bounds[0],
            high=bounds[1],
        )
        if tag != self.tags[number]:
            self.tags[number] = tag
            self.version += 1
            self._changed_at[number] = self.version

    def shadows(self) -> "Catalog":
        """Return a view of what there is now, in which a path leads to the tag that is on trial in its place."""
        view = copy.copy(self)
        view._shadows = True
        return view

    def changed(self, since: int) -> list[int]:
        """Return the tags that were described anew, added or removed after this version."""
        return [number for number, version in self._changed_at.items() if version > since]

    # --- another configuration --------------------------------------------------------------

    def successor(self) -> "Catalog":
        """Return a catalog with the same numbers, in which nothing is configured yet."""
        following = Catalog()
        for path in self.assets:
            following.reserve_asset(path)
        for tag in self.tags:
            following.reserve(tag.asset, tag.name)
        return following

    def differing(self, successor: "Catalog") -> NDArray[np.uint32]:
        """Return the numbers of the tags that a successor adds, removes or describes otherwise."""
        n = len(self)
        numbers = [
            number
            for number, tag in enumerate(successor.tags)
            if number >= n
            or self._configured[number] != successor._configured[number]
            or (successor._configured[number] and tag != self._added.get(number, self.tags[number]))
        ]
        return np.array(numbers, dtype=np.uint32)

    def become(self, successor: "Catalog", differing: NDArray[np.uint32]) -> None:
        """Take the tags of a successor; `differing` is what `differing` says of it.

        A tag that is removed keeps its number and its description, for its readings may still be on their way.
        """
        self.version += 1
        self.generation += 1
        for number in differing.tolist():
            if successor._configured[number]:
                self._place(successor.tags[number])
                self._added.pop(number, None)
            self._changed_at[number] = self.version
        self._in_order = successor._in_order
        self._configured = successor._configured

    @property
    def configured(self) -> NDArray[np.bool_]:
        """Which tags are configured, shape (len(self),)."""
        return self._configured[: len(self.tags)]

    # --- numbers --------------------------------------------------------------------------

    def reserve(self, asset: str, name: str) -> None:
        """Give the next number to a path that had it before, whether or not it is configured now."""
        self._place(Tag(asset, name))

    def reserve_asset(self, path: str) -> int:
        """Return the number of an asset, new or known."""
        number = self._asset_number.setdefault(path, len(self.assets))
        if number == len(self.assets):
            self.assets.append(path)
        return number

    def number(self, path: str) -> int:
        """Return the number of a path. Raises KeyError if the path is not known."""
        number = self._found(path)
        if number is None:
            raise KeyError(path)
        return number

    def numbers(self, paths: Iterable[str]) -> NDArray[np.uint32]:
        """Return the numbers of these paths, shape (n,). Raises KeyError for the first that is not known."""
        return np.array([self.number(path) for path in paths], dtype=np.uint32)

    @property
    def asset_of(self) -> NDArray[np.uint32]:
        """The number of the asset of each tag, shape (len(self),); the names are in `assets`."""
        return self._asset_of[: len(self.tags)]

    def _found(self, path: str) -> int | None:
        """The number of a path, wherever in it the asset ends and the name begins."""
        end = path.rfind("/")
        while end > 0:
            names, name = self._number.get(path[:end], {}), path[end + 1 :]
            if self._shadows and (number := names.get(shadow_of(name))) is not None and self._configured[number]:
                return number
            number = names.get(name)
            if number is not None:
                return number
            end = path.rfind("/", 0, end)
        return None

    def _place(self, tag: Tag) -> int:
        number = self._found(tag.path)
        if number is None:
            number = self._number.setdefault(tag.asset, {})[tag.name] = len(self.tags)
            self.tags.append(tag)
            if number == len(self._asset_of):
                self._asset_of = np.resize(self._asset_of, 2 * number)
                self._configured = np.r_[self._configured, np.zeros(number, np.bool_)]
        self.tags[number] = tag
        self._asset_of[number] = self.reserve_asset(tag.asset)
        return number
