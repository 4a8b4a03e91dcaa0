"""Where a value is in a JSON document: `$.temp.c`, `$.values[0]`, `$['water level']`. Pure.

It is the part of JSONPath (RFC 9535) that names exactly one place.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\['([^']+)'\]")


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A place: names of members and numbers of elements, from the outside in. `$` alone is the whole document."""

    steps: tuple[str | int, ...] = ()

    def __str__(self) -> str:
        return "$" + "".join(f"[{step}]" if isinstance(step, int) else _member(step) for step in self.steps)

    def find(self, document: Any, *otherwise: Any) -> Any:
        """Return what is there, or what is to be taken otherwise. Raises ValueError if there is neither."""
        for step in self.steps:
            if not _has(document, step):
                if otherwise:
                    return otherwise[0]
                raise ValueError(f"there is no {self} in it")
            document = document[step]
        return document


def parse(text: Any) -> JsonPath:
    """Read a path. Raises ValueError naming what would be right."""
    if isinstance(text, str) and text.startswith("$"):
        steps, at = [], 1
        while match := _STEP.match(text, at):
            member, number, quoted = match.groups()
            steps.append(int(number) if number else member or quoted)
            at = match.end()
        if at == len(text):
            return JsonPath(tuple(steps))
    raise ValueError(f"{text!r} is no path: write $.temp.c, $.values[0] or $['water level']")


def _has(document: Any, step: str | int) -> bool:
    if isinstance(step, int):
        return isinstance(document, list) and step < len(document)
    return isinstance(document, dict) and step in document


def _member(name: str) -> str:
    return f".{name}" if re.fullmatch(r"[^.\[\]\s]+", name) else f"['{name}']"
