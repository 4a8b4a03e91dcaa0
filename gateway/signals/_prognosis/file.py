"""A model of a fleet as a file: a zip of numpy's (.npz), without anything that could run.

header              JSON: the form of the file, and the model as a tree in which arrays are null
fleet.crowd.mean    an array, named by its place in the tree, bit for bit
sha256              of all of it: a model that was damaged is not used
"""

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from gateway.signals._prognosis.model import FleetModel

_FORM: Final = 1
_HEADER: Final = "header"
_SUM: Final = "sha256"


def packed(model: FleetModel) -> bytes:
    """Return a model as bytes; the same model is the same bytes."""
    arrays: dict[str, NDArray[Any]] = {}
    header = json.dumps({"form": _FORM, "model": _taken(model, "", arrays)}).encode()
    members = {_HEADER: np.frombuffer(header, np.uint8), **arrays}
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **members, **{_SUM: _sum(members)})
    return file.getvalue()


def unpacked(data: bytes) -> FleetModel:
    """Return the model of some bytes. Raises ValueError if they are none."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            members = {name: file[name] for name in file.files if name != _SUM}
            whole = np.array_equal(file[_SUM], _sum(members))
        header = json.loads(members[_HEADER].tobytes())
        form = header["form"]
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"it is no model of a fleet, or damaged ({error})") from None
    if not whole:
        raise ValueError("it is damaged: what it has is not what its checksum says")
    if form != _FORM:
        raise ValueError(f"it has form {form}, this program reads {_FORM}")
    model: FleetModel = _made(FleetModel, header["model"], "", members)
    return model


def _sum(members: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    found = hashlib.sha256()
    for name in sorted(members):
        array = members[name]
        found.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return np.frombuffer(found.digest(), np.uint8)


def _taken(value: Any, place: str, arrays: dict[str, NDArray[Any]]) -> Any:
    """A value as JSON; arrays go aside."""
    if isinstance(value, np.ndarray):
        arrays[place] = value
        return None
    if is_dataclass(value):
        return {
            field.name: _taken(getattr(value, field.name), _below(place, field.name), arrays) for field in fields(value)
        }
    if isinstance(value, tuple):
        return [_taken(one, _below(place, str(i)), arrays) for i, one in enumerate(value)]
    return value


def _made(kind: Any, node: Any, place: str, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """The value of a kind that was taken."""
    if node is None:
        return arrays[place]
    if is_dataclass(kind):
        kinds = get_type_hints(kind)
        found = {name: _made(kinds[name], one, _below(place, name), arrays) for name, one in node.items()}
        return kind(**found)  # type: ignore[operator]  # is_dataclass is true of objects as well
    if get_origin(kind) is tuple:
        return tuple(_made(get_args(kind)[0], one, _below(place, str(i)), arrays) for i, one in enumerate(node))
    return node


def _below(place: str, name: str) -> str:
    return f"{place}.{name}".lstrip(".")
