"""The configurations that were, on disk: a folder with two files for each, so that people can look without a program.

    12.yaml   the text, as it was written: secrets are names in it
    12.json   number, time, author, why, and what it changed

A version is there once its .json is; it is written last, and replaced as a whole. Blocking.
"""

import difflib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

KEPT: Final = 100
COMPARED_LINES_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class Version:
    """One configuration: who, when [ns since 1970 UTC] and why; what it changed, and the text's lines that did."""

    number: int
    time_ns: int
    author: str
    why: str
    change: Mapping[str, Any]
    diff: Sequence[str]


class Versions:
    """The folder. Raises OSError if it cannot be used."""

    def __init__(self, folder: Path, kept: int = KEPT) -> None:
        self._folder = folder
        self._kept = kept
        folder.mkdir(parents=True, exist_ok=True)

    def numbers(self) -> list[int]:
        """Return the numbers of the versions there are, oldest first."""
        return sorted(int(path.stem) for path in self._folder.glob("*.json") if path.stem.isdecimal())

    def newest(self) -> int:
        """Return the number of the newest version, 0 if there is none."""
        return max(self.numbers(), default=0)

    def get(self, number: int) -> Version:
        """Return a version. Raises KeyError if it is not there, or damaged."""
        try:
            return Version(**json.loads(self._path(number, "json").read_bytes()))
        except (FileNotFoundError, ValueError, TypeError) as error:
            raise KeyError(number) from error

    def text(self, number: int) -> str:
        """Return the text of a version. Raises KeyError if it is not there."""
        try:
            return self._path(number, "yaml").read_text(encoding="utf-8")
        except (FileNotFoundError, UnicodeDecodeError) as error:
            raise KeyError(number) from error

    def all(self) -> list[Version]:
        """Return the versions that can be read, newest first."""
        return [version for number in reversed(self.numbers()) if (version := self._readable(number)) is not None]

    def add(self, text: str, *, time_ns: int, author: str, why: str, change: Mapping[str, Any]) -> Version:
        """Keep a text as the newest version, and forget the oldest."""
        number = self.newest() + 1
        before = self.text(number - 1) if number > 1 and self._path(number - 1, "yaml").is_file() else ""
        version = Version(number, time_ns, author, why, change, lines_between(before, text))
        replaced(self._path(number, "yaml"), text)
        replaced(self._path(number, "json"), json.dumps(asdict(version), indent=1))
        for old in self.numbers()[: -self._kept]:
            self.drop(old)
        return version

    def drop(self, number: int) -> None:
        """Forget a version that did not come to run."""
        self._path(number, "json").unlink(missing_ok=True)
        self._path(number, "yaml").unlink(missing_ok=True)

    def _readable(self, number: int) -> Version | None:
        try:
            return self.get(number)
        except KeyError:
            return None

    def _path(self, number: int, kind: str) -> Path:
        return self._folder / f"{number}.{kind}"


def replaced(path: Path, text: str) -> None:
    """Write a file that nobody else may read, or with the rights that it has, as a whole or not at all."""
    target = path.resolve()  # of a link, what it leads to
    beside = target.with_name(f".{target.name}.new")
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    beside.replace(target)


def lines_between(before: str, after: str) -> list[str]:
    """Return the lines that differ, as a unified diff, without those at both ends that are the same.

    What lies between the first and the last difference is compared up to COMPARED_LINES_MAX lines: beyond that it would
    take minutes, and one line says so.
    """
    old, new = before.splitlines(), after.splitlines()
    head = _same(old, new)
    tail = _same(old[head:][::-1], new[head:][::-1])
    old, new = old[head : len(old) - tail], new[head : len(new) - tail]
    if max(len(old), len(new)) > COMPARED_LINES_MAX:
        return [f"@@ {len(old)} lines from line {head + 1} on became {len(new)} @@"]
    compared = difflib.unified_diff(old, new, "before", "after", lineterm="", n=2)
    return [f"@@ from line {head + 1} on @@", *list(compared)[2:]] if old or new else []


def _same(old: Sequence[str], new: Sequence[str]) -> int:
    """How many lines are the same at the beginning."""
    pairs = enumerate(zip(old, new, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(old), len(new)))
