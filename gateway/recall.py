"""What signals remember, as bytes, and back: so that a restart does not cost what it took hours to learn.

Nobody writes down what of a signal is to be kept. A signal is plain: numbers, texts, arrays, containers of these, and
objects of `gateway.signals` that are made of them; all of it is kept, bit for bit. What is no memory but was built from
the configuration (functions, formulas, options) stays as it was built. The bytes are a zip file of numpy's (.npz):

    positions           the form of all this, and where in the journal the signals are
    <signal>/header     JSON: identity, and the tree in which the arrays have their places
    <signal>/0, 1, ...  the arrays

A zip file has a checksum for each of its members, so damage costs the signals that it is in and no other.
"""

import io
import json
import logging
import sys
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.contracts import Signal

_FORM: Final = 1
_POSITIONS: Final = "positions"
_DAMAGE: Final = (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, NotImplementedError)
_HOME: Final = "gateway.signals"
_MODEL: Final = "gateway.model."
_CONTAINERS: Final[Mapping[str, Callable[[list[Any]], Any]]] = {"list": list, "tuple": tuple, "set": set}
_BUILT: Final = {"built": True}
_MISSING: Final = object()

log = logging.getLogger(__name__)


class NoMemory(Exception):
    """What was kept is not what this signal remembers: damaged, or of a signal that was another one."""


@dataclass(frozen=True, slots=True)
class Built:
    """A signal as the configuration has it. `identity` says what makes it what it is: kind, version and options.

    `outputs` are the numbers of the tags that it derives; `trials`, of one on trial, those that would raise something.
    """

    signal: Signal
    identity: str
    outputs: NDArray[np.uint32]
    trials: frozenset[int] = frozenset()


def packed(signals: Mapping[str, Built], position: int, told: int) -> bytes:
    """Return what the signals remember, and two positions in the journal. Raises TypeError for one that is not plain.

    `position` is that of the last record that taught them, `told` that of the last there was when they had answered.
    """
    members: dict[str, NDArray[Any]] = {_POSITIONS: np.array([_FORM, position, told])}
    for name, built in signals.items():
        arrays: list[NDArray[Any]] = []
        tree = _Taking(arrays).node(built.signal)
        header = {"identity": built.identity, "arrays": len(arrays), "tree": tree}
        members[f"{name}/header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
        members |= {f"{name}/{i}": array for i, array in enumerate(arrays)}
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **members)
    return file.getvalue()


class Kept:
    """What was packed; nothing at all, if nothing was or it cannot be read."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = self.told = 0
        self._names: frozenset[str] = frozenset()
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                form, self.position, self.told = file[_POSITIONS].tolist()
                if form == _FORM:
                    self._names = frozenset(file.files)
        except (*_DAMAGE, KeyError) as error:
            if data:
                log.warning("what signals had learned is damaged and set aside: %s", error)

    def signal(self, name: str, built: Built) -> Signal | None:
        """Return a signal as it was, None if it was not there. Raises NoMemory if it is not to be had any more."""
        if f"{name}/header" not in self._names:
            return None
        try:
            with np.load(io.BytesIO(self._data), allow_pickle=False) as file:
                header = json.loads(file[f"{name}/header"].tobytes())
                arrays = [file[f"{name}/{i}"] for i in range(header["arrays"])]
        except (*_DAMAGE, KeyError) as error:
            raise NoMemory(f"it is damaged ({error})") from error
        if header["identity"] != built.identity:
            raise NoMemory("its options are others now")
        found: Signal = _Giving(arrays).value(header["tree"], built.signal)
        if not np.array_equal(found.inputs, built.signal.inputs):
            raise NoMemory("it watches other tags now")
        return found


class _Taking:
    """From a signal to a tree that JSON can carry; arrays go aside. Arrays and objects are taken once each."""

    def __init__(self, arrays: list[NDArray[Any]]) -> None:
        self._arrays = arrays
        self._places: dict[int, int] = {}
        self._objects: dict[int, int] = {}

    def node(self, value: Any) -> Any:
        match value:
            case np.ndarray() | np.generic():
                return {"array": self._place(value), "scalar": isinstance(value, np.generic)}
            case None | bool() | int() | str():
                return {"plain": value}
            case float():
                return {"float": value.hex()}
            case list() if value and all(type(one) is float for one in value):
                return {"floats": self._place(np.array(value))}
            case list() | tuple() | set():
                return {type(value).__name__: [self.node(one) for one in value]}
            case deque():
                return {"deque": [self.node(one) for one in value], "maxlen": value.maxlen}
            case dict():
                return {"dict": [[self.node(key), self.node(one)] for key, one in value.items()]}
        return self._object(value)

    def _object(self, value: Any) -> Any:
        kind = type(value)
        if id(value) in self._objects:
            return {"same": self._objects[id(value)]}
        number = self._objects[id(value)] = len(self._objects)
        attributes = {name: self._attribute(getattr(value, name)) for name in _names(value)}
        return {"object": f"{kind.__module__}:{kind.__qualname__}", "number": number, "of": attributes}

    def _attribute(self, value: Any) -> Any:
        return _BUILT if _is_built(value) else self.node(value)

    def _place(self, value: Any) -> int:
        if id(value) not in self._places:
            array = np.asarray(value)
            if array.dtype == object:
                raise TypeError("an array of objects is nothing that can be kept")
            self._places[id(value)] = len(self._arrays)
            self._arrays.append(array)
        return self._places[id(value)]


class _Giving:
    """From a tree to a signal; `fresh` is what has just been built in the same place, if there is such a thing."""

    def __init__(self, arrays: list[NDArray[Any]]) -> None:
        self._arrays = arrays
        self._objects: dict[int, Any] = {}

    def value(self, node: Any, fresh: Any = _MISSING) -> Any:
        match node:
            case {"array": place, "scalar": scalar}:
                return self._arrays[place][()] if scalar else self._arrays[place]
            case {"plain": value}:
                return value
            case {"float": text}:
                return float.fromhex(text)
            case {"floats": place}:
                return self._arrays[place].tolist()
            case {"deque": values, "maxlen": most}:
                return deque((self.value(one) for one in values), most)
            case {"dict": pairs}:
                return {self.value(key): self.value(one) for key, one in pairs}
            case {"object": name, "number": number, "of": attributes}:
                return self._object(name, number, attributes, fresh)
            case {"same": number}:
                return self._objects[number]
            case {"built": True} if fresh is not _MISSING:
                return fresh
        for name, container in _CONTAINERS.items():
            if name in node:
                return container([self.value(one) for one in node[name]])
        raise NoMemory("it is of another version of this program")

    def _object(self, name: str, number: int, attributes: Mapping[str, Any], fresh: Any) -> Any:
        kind = type(fresh)
        if f"{kind.__module__}:{kind.__qualname__}" != name:
            kind, fresh = _kind(name), _MISSING
        elif set(_names(fresh)) != attributes.keys():
            raise NoMemory("it is of another version of this program")
        found: Any = self._objects.setdefault(number, object.__new__(kind))
        for attribute, node in attributes.items():
            object.__setattr__(found, attribute, self.value(node, getattr(fresh, attribute, _MISSING)))
        return found


def _names(value: Any) -> list[str]:
    """The attributes of an object of ours. Raises TypeError for others."""
    slots = getattr(type(value), "__slots__", ())
    names = [*slots, *getattr(value, "__dict__", ())]
    if not names:
        raise TypeError(f"{type(value).__name__} is nothing that can be kept")
    return names


def _is_built(value: Any) -> bool:
    """Whether something is no memory: a function, options, or what the model knows (the catalog, a tag)."""
    return callable(value) or hasattr(value, "model_dump") or type(value).__module__.startswith(_MODEL)


def _kind(name: str) -> Any:
    """A class of the signals, by its name. Raises NoMemory if there is none."""
    module, _, path = name.partition(":")
    found = sys.modules.get(module) if module.startswith(f"{_HOME}.") else None
    kind = getattr(found, path, None)
    if not isinstance(kind, type):
        raise NoMemory("it is of another version of this program")
    return kind
