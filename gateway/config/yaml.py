"""YAML 1.2 with the line of every key, and secrets put in. Knows nothing of what the keys mean.

`${NAME}` in a text is replaced by the environment variable, `${file:PATH}` by what stands in the file (without the
newline at its end). A password that is written out in a URL is refused.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from yaml.nodes import ScalarNode

Where = tuple[str | int, ...]
See = Callable[[Where, int], None]

_PLACEHOLDER: Final = re.compile(r"\$\{(file:)?([^}]*)\}")
_USER: Final = re.compile(r"[a-z.+]+://(?P<user>(?:\$\{[^}]*\}|[^@/])*)@")
"""What stands before the host of a URL: user and password, perhaps as placeholders."""

_SIGNING: Final = re.compile(r"whsec_[A-Za-z0-9+/]")
"""A secret of Standard Webhooks."""
_ELSEWHERE: Final = "keep it in the environment or a file: ${NAME} or ${file:/path/to/it}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: where, what, and what would be right."""

    file: str
    line: int
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}" + (f" -> {self.remedy}" if self.remedy else "")


class Secret(str):
    """A text, some of which came from the environment or a file."""

    __slots__ = ()


class ConfigError(Exception):
    """A configuration cannot be used; `findings` says all that is wrong with it."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = sorted(findings, key=lambda finding: (finding.file, finding.line))
        super().__init__("\n".join(map(str, self.findings)))


@dataclass(slots=True)
class Document:
    """A YAML file: its text, and what that says as plain dictionaries and lists.

    `findings` are wrong, `warnings` may be.
    """

    file: str
    text: str
    data: dict[str, Any]
    findings: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    _lines: dict[Where, int] = field(default_factory=dict)

    def line(self, where: Sequence[str | int]) -> int:
        """Return the line of a key, or of the nearest key above it that is written.

        The lines of a large plant are twice its data, so they are looked up only when something is found.
        """
        if not self._lines:
            self._lines = _lines(self.text)
        place = tuple(where)
        while place and place not in self._lines:
            place = place[:-1]
        return self._lines.get(place, 1)

    def find(self, where: Sequence[str | int], what: str, remedy: str = "") -> None:
        self.findings.append(Finding(self.file, self.line(where), what, remedy))

    def warn(self, where: Sequence[str | int], what: str) -> None:
        self.warnings.append(Finding(self.file, self.line(where), what))


def read(path: Path, environment: Mapping[str, str] = os.environ) -> Document:
    """Read a file. Raises ConfigError if it is not there or not YAML; other findings come with the document."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Finding(str(path), 1, f"cannot be read: {error}")]) from error
    return parsed(text, str(path), environment)


def parsed(text: str, file: str, environment: Mapping[str, str] = os.environ) -> Document:
    """Read a text; `file` is what findings call it. Raises ConfigError if it is not YAML."""
    document = Document(file, text, {})
    try:
        found = _built(text, document.find, environment)
    except yaml.YAMLError as error:
        raise _unreadable(file, text, error) from error
    if not isinstance(found, dict):
        raise ConfigError([Finding(file, 1, "is not a mapping", "write keys and values, such as `site: ...`")])
    document.data = found
    return document


def _unreadable(file: str, text: str, error: yaml.YAMLError) -> ConfigError:
    """What the parser says, with its line."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        at, problem = mark.index if mark else 0, error.problem or error.context or "is not YAML"
    else:
        at, problem = getattr(error, "position", 0), str(error)
    line = text.count("\n", 0, at) + 1  # YAML breaks lines at more characters than editors do
    return ConfigError([Finding(file, line, problem.splitlines()[0], _REMEDY)])


def redacted(url: str) -> str:
    """Return a URL without its password, fit for logs, answers and errors."""
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", url)


_REMEDY: Final = "check indentation (spaces, no tabs), colons and quotes on this line and the one above"


class _Loader(yaml.CSafeLoader):
    """YAML 1.2: `no` and `on` are texts, `22:00` and `010` are not sixty times something or eight."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


class Find(Protocol):
    """Takes what is wrong at a place, and the remedy."""

    def __call__(self, where: Where, what: str, remedy: str = "") -> None: ...


def _lines(text: str) -> dict[Where, int]:
    """The line of every key of a text that has been read before."""
    lines: dict[Where, int] = {}
    with suppress(yaml.YAMLError):  # the lines before it are known
        _built(text, _unheard, {}, lines.__setitem__)
    return lines


def _unheard(where: Where, what: str, remedy: str = "") -> None:
    """What is wrong has been told when the text was read."""


def _built(text: str, find: Find, environment: Mapping[str, str], see: See = lambda where, line: None) -> Any:
    loader = _Loader(text)
    try:
        return _Builder(loader, find, environment, see).document()
    finally:
        loader.dispose()


class _Builder:
    """Makes plain objects of the parser's events, as they come, and tells the line of every key to `see`.

    A tree of nodes would be easier and cost some 4 KB per tag of a large plant.
    """

    def __init__(self, loader: Any, find: Find, environment: Mapping[str, str], see: See) -> None:
        self._loader = loader  # a _Loader, whose published types say None where there never is one
        self._find = find
        self._environment = environment
        self._see = see
        self._anchors: dict[str, Any] = {}

    def document(self) -> Any:
        """Return the document, or None if there is none."""
        while not self._loader.check_event(DocumentStartEvent, StreamEndEvent):
            self._loader.get_event()
        if self._loader.check_event(StreamEndEvent):
            return None
        self._loader.get_event()
        found = self._any(())
        self._loader.get_event()
        if not self._loader.check_event(StreamEndEvent):
            mark = self._loader.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, "a second document begins here", mark)
        return found

    def _any(self, where: Where) -> Any:
        event = self._loader.get_event()
        match event:
            case AliasEvent():
                return self._alias(event)
            case MappingStartEvent():
                value: Any = self._mapping(where)
            case SequenceStartEvent():
                value = self._sequence(where)
            case _:
                value = self._scalar(event, where)
        if event.anchor:
            self._anchors[event.anchor] = value
        return value

    def _mapping(self, where: Where) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        inherited: dict[Any, Any] = {}
        while not self._loader.check_event(MappingEndEvent):
            line = self._loader.peek_event().start_mark.line + 1
            key = self._key(where)
            place = (*where, key)
            if key in found:
                self._find(where, f"{_dotted(place)} is written twice, in line {line} again", "write it once")
            self._see(place, line)
            value = self._any(place)
            if key == "<<":
                for mapping in value if isinstance(value, list) else [value]:
                    inherited |= mapping if isinstance(mapping, dict) else {}
            else:
                found[key] = value
        self._loader.get_event()
        return inherited | found

    def _sequence(self, where: Where) -> list[Any]:
        found: list[Any] = []
        while not self._loader.check_event(SequenceEndEvent):
            place = (*where, len(found))
            self._see(place, self._loader.peek_event().start_mark.line + 1)
            found.append(self._any(place))
        self._loader.get_event()
        return found

    def _key(self, where: Where) -> str | int:
        """A key as it is written, or as a number where it is one (labels of a state)."""
        if not self._loader.check_event(ScalarEvent):
            mark = self._loader.peek_event().start_mark
            raise yaml.constructor.ConstructorError(None, None, "a key must be a plain text", mark)
        event = self._loader.get_event()
        text: str = event.value
        return int(text) if event.implicit[0] and re.fullmatch(r"-?[0-9]+", text) else text

    def _alias(self, event: Any) -> Any:
        if event.anchor not in self._anchors:
            raise yaml.composer.ComposerError(None, None, f"there is no anchor &{event.anchor}", event.start_mark)
        return self._anchors[event.anchor]

    def _scalar(self, event: Any, where: Where) -> Any:
        text: str = event.value
        tag = event.tag or self._loader.resolve(ScalarNode, text, event.implicit)
        match tag.rpartition(":")[2]:
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int" | "float" as kind:
                return self._number(text, kind, event.start_mark)
            case _:
                return self._secret(text, where)

    def _number(self, text: str, kind: str, mark: Any) -> int | float:
        try:
            if kind == "float":
                return float(text)
            return int(text) if text.lstrip("+-").isdecimal() else int(text, 0)
        except ValueError as error:
            raise yaml.constructor.ConstructorError(None, None, f"{text!r} is no {kind}", mark) from error

    def _secret(self, text: str, where: Where) -> str:
        """The text with secrets put in; in the user's part of a URL they are quoted, whatever characters they have."""
        user = _USER.match(text)
        end = user.end() if user else 0
        if user and not _PLACEHOLDER.fullmatch(user["user"].partition(":")[2] or "${}"):
            self._find(where, f"{_dotted(where)} has a password written out", _ELSEWHERE)
        if _SIGNING.search(text):
            self._find(where, f"{_dotted(where)} has a secret written out", _ELSEWHERE)

        def value(match: re.Match[str]) -> str:
            secret = self._value(match, where)
            return quote(secret, safe="") if match.end() <= end else secret

        filled, n = _PLACEHOLDER.subn(value, text)
        return Secret(filled) if n else text

    def _value(self, match: re.Match[str], where: Where) -> str:
        from_file, name = match[1], match[2]
        if from_file:
            try:
                return Path(name).read_text(encoding="utf-8").removesuffix("\n")
            except (OSError, UnicodeDecodeError) as error:
                self._find(where, f"{_dotted(where)} needs the file {name}: {error}", "write the secret into it")
                return ""
        if name not in self._environment:
            self._find(where, f"{_dotted(where)} needs the environment variable {name}", f"export {name}=...")
        return self._environment.get(name, "")


def _dotted(where: Where) -> str:
    return ".".join(map(str, where))
