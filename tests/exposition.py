"""What is wrong with metrics, by the rules of Prometheus for names and units, as `promtool check metrics` has them."""

import re
from collections import Counter
from typing import Final

_PREFIXES: Final = ("gateway_", "process_", "python_")
_LABELS: Final = frozenset(
    ["device", "part", "version", "gateway", "generation", "implementation", "major", "minor", "patchlevel"]
)
"""Those that have few values: all that a configuration names, and what the program is."""
_NOT_BASE: Final = {"ns", "us", "ms", "nanoseconds", "microseconds", "milliseconds", "minutes", "hours", "days"} | {
    "kb",
    "mb",
    "gb",
    "kilobytes",
    "megabytes",
    "bits",
    "percent",
}
_SUFFIXES: Final = ("_total", "_count", "_sum", "_bucket")
_SAMPLE: Final = re.compile(r"([^{ ]+)(?:\{(.*)\})? (\S+)( \d+)?")


def findings(text: str) -> list[str]:
    """Return what is wrong with an exposition in the text format 0.0.4."""
    helps = dict(re.findall(r"^# HELP (\S+) ?(.*)$", text, re.MULTILINE))
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    samples = [line for line in text.splitlines() if line and not line.startswith("#")]
    wrong = [f"{name}: no HELP" for name in types if not helps.get(name)]
    for name, kind in types.items():
        wrong += _of_name(name, kind)
    for line in samples:
        match = _SAMPLE.fullmatch(line)
        if match is None or match[4]:
            wrong.append(f"{line}: no sample, or one with a time")
            continue
        if match[1] not in types:
            wrong.append(f"{match[1]}: no TYPE")
        if others := set(re.findall(r'(\w+)="', match[2] or "")) - _LABELS:
            wrong.append(f"{match[1]}: labels {sorted(others)} may have any number of values")
    wrong += [f"{series}: twice" for series, n in Counter(line.rpartition(" ")[0] for line in samples).items() if n > 1]
    return wrong


def _of_name(name: str, kind: str) -> list[str]:
    words = name.split("_")
    wrong = []
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or "__" in name or not name.startswith(_PREFIXES):
        wrong.append(f"{name}: snake_case with the prefix of the application, no colons")
    if (kind == "counter") != name.endswith("_total") or (kind == "gauge" and name.endswith(_SUFFIXES)):
        wrong.append(f"{name}: counters end in _total, and nothing else does")
    if kind in words:
        wrong.append(f"{name}: its type is in its name")
    if others := set(words) & _NOT_BASE:
        wrong.append(f"{name}: no base unit: {sorted(others)}")
    return wrong
