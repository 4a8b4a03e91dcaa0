"""Reading a plant file: all mistakes at once, each with file, line, key, the nearest valid key and a remedy."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from yaml.nodes import MappingNode, Node, SequenceNode

from simulators.faults import nearest
from simulators.plantfile import PlantFile

Location = Sequence[int | str]


class PlantFileError(ValueError):
    """A plant file that cannot be used; each line of the message is one problem."""


class _Loader(yaml.CSafeLoader):
    """YAML 1.2: `no` and `on` are texts, and so are times of day such as 22:00."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|", ["~", "n", ""]),
    ("bool", r"true|false", list("tf")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


def load(path: Path) -> PlantFile:
    """Read a plant file; PlantFileError naming everything that is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8")
        tree, data = yaml.compose(text, Loader=_Loader), yaml.load(text, Loader=_Loader)
    except OSError as error:
        raise PlantFileError(f"{path}: cannot be read: {error.strerror}; is the path right?") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PlantFileError(f"{path}:{line}: this is not YAML: {error.problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PlantFileError(f"{path}:1: this is not YAML: {error}") from error
    twice = [f"{path}:{line}: {key} is written twice; write it once" for line, key in _repeated(tree)]
    if twice:
        raise PlantFileError("\n".join(twice))
    try:
        return PlantFile.model_validate(data if data is not None else {})
    except ValidationError as error:
        problems = sorted((_line(tree, item["loc"]), _problem(dict(item))) for item in error.errors())
        raise PlantFileError("\n".join(f"{path}:{line}: {text}" for line, text in problems)) from error


def _problem(error: dict[str, Any]) -> str:
    """Return what is wrong with a key, and what to do about it."""
    location: Location = error["loc"]
    key = _key(location)
    match error["type"]:
        case "extra_forbidden":
            return f"{key}: there is no such key; {nearest(str(location[-1]), _fields(location[:-1]))}"
        case "missing":
            return f"{key}: is missing; add it"
        case "value_error":
            return f"{key}: {error['ctx']['error']}" if key else str(error["ctx"]["error"])
        case _:
            return f"{key or 'the file'}: {error['msg']}, not {_shown(error['input'])}"


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str | int | float | bool) else f"a {type(value).__name__}"


def _key(location: Location) -> str:
    """Return a location as the user thinks of it: faults[0].target."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


def _line(tree: Node | None, location: Location) -> int:
    """Return the line of a key, or that of the nearest thing around it that is in the file."""
    line, node = 1, tree
    for part in location:
        found = _child(node, part)
        if found is None:
            break
        mark, node = found
        line = mark + 1
    return line


def _child(node: Node | None, part: str | int) -> tuple[int, Node] | None:
    """The line, from 0, and the value of a key of a mapping or of an item of a sequence; None if it is not there."""
    if isinstance(node, MappingNode):
        return next(((key.start_mark.line, value) for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line, node.value[part]
    return None


def _repeated(node: Node | None) -> Iterator[tuple[int, str]]:
    """Pairs of line and key for the keys that stand in their mapping before already."""
    if isinstance(node, SequenceNode):
        for item in node.value:
            yield from _repeated(item)
    elif isinstance(node, MappingNode):
        keys = [key.value for key, _ in node.value]
        for i, (key, value) in enumerate(node.value):
            if key.value in keys[:i]:
                yield key.start_mark.line + 1, str(key.value)
            yield from _repeated(value)


def _fields(location: Location) -> list[str]:
    """Return the keys that are valid at a location."""
    model: Any = PlantFile
    for part in location:
        if isinstance(model, type) and issubclass(model, BaseModel):
            model = model.model_fields[str(part)].annotation
        else:
            model = next(kind for kind in get_args(model) if kind is not str and kind is not Ellipsis)
        while get_origin(model) in (Union, UnionType):
            model = get_args(model)[0]
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []
