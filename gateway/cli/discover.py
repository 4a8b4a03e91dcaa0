"""`gateway discover`: what is there, as a section of a configuration.

A protocol that can search offers `discover(url, *, ...)`, which returns a Search (connectors/_found.py) and names those
of the options here that it has a use for. A template says in `identify` what a device must say of itself to be one of
its kind.
"""

import argparse
import asyncio
import dataclasses
import inspect
import json
import re
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final
from urllib.parse import urlsplit

from connectors._found import Found, Search
from gateway.config.yaml import read, redacted
from gateway.plugins import Protocols, shipped

HELP = "look what answers at an address, and print it as devices for a configuration"
EXAMPLES = """  gateway discover modbus://192.168.0.7
  gateway discover modbus://192.168.0.7:502 --units 1-247 --timeout 0.3
  gateway discover opc.tcp://192.168.0.9:4840 --match "*/temperature" --depth 4
  gateway discover opc.tcp://192.168.0.9:4840 --json
  gateway discover mqtt://broker:1883 --timeout 20
  gateway discover modbus://192.168.0.7 >> plant.yaml"""

_OPTIONS: Final = {"units": "--units", "match": "--match", "depth": "--depth", "timeout_s": "--timeout"}
"""Options by the names that they have as parameters of a protocol's `discover`."""

Discover = Callable[..., Coroutine[Any, Any, Search]]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "url", help="where to look, such as modbus://192.168.0.7, opc.tcp://192.168.0.9:4840, mqtt://broker"
    )
    parser.add_argument("--units", type=_units, metavar="N-M,N", help="Modbus: units to ask; default 1-10,255,0")
    parser.add_argument("--match", metavar="GLOB", help="OPC UA: browse paths of variables to print; default *")
    parser.add_argument("--depth", type=int, metavar="N", help="OPC UA: how many levels to browse; default 10")
    parser.add_argument("--timeout", type=float, dest="timeout_s", metavar="S", help="how long to wait for an answer")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")


def run(args: argparse.Namespace) -> int:
    start = time.monotonic()
    try:
        scheme, discover = _discover(args.url)
        result = asyncio.run(discover(args.url, **_given(args, discover, scheme)))
    except ValueError as error:
        print(f"gateway discover: {error}", file=sys.stderr)
        return 2
    seconds = time.monotonic() - start
    templates = _templates(scheme)
    kinds = [_template(found.facts, templates) for found in result.found]
    print(_json(result, kinds, seconds) if args.json else _yaml(redacted(args.url), result, kinds, seconds))
    return 0 if result.found else 1


def _discover(url: str) -> tuple[str, Discover]:
    """The scheme of a URL and how its protocol searches. Raises ValueError if there is none, or if it cannot."""
    protocols = Protocols()
    able = dict.fromkeys(module.SCHEMES[0] for module in protocols.values() if hasattr(module, "discover"))
    try:
        scheme = urlsplit(url).scheme
    except ValueError as error:
        raise ValueError(f"that is no URL: {error}; write {' or '.join(f'{one}://host' for one in able)}") from error
    if "://" not in url:
        raise ValueError(f"{url} has no known protocol; write {' or '.join(f'{one}://{url}' for one in able)}")
    discover: Discover | None = getattr(protocols.get(scheme), "discover", None)
    if discover is None:
        what = "cannot be searched" if scheme in protocols else "is no known protocol"
        raise ValueError(f"{scheme}:// {what}; {' and '.join(f'{one}://host' for one in able)} can")
    return scheme, discover


def _given(args: argparse.Namespace, discover: Discover, scheme: str) -> dict[str, Any]:
    """The options that were given. Raises ValueError for one that this protocol does not have."""
    given = {name: value for name in _OPTIONS if (value := getattr(args, name)) is not None}
    known = inspect.signature(discover).parameters
    for name in given:
        if name not in known:
            has = ", ".join(option for name, option in _OPTIONS.items() if name in known)
            raise ValueError(f"{_OPTIONS[name]} is nothing to {scheme}://, which has {has}")
    return given


def _units(text: str) -> list[int]:
    """The numbers of `1-10,255,0`, in this order."""
    units: dict[int, None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,3})(?:-(\d{1,3}))?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if not first <= last <= 255:
            raise argparse.ArgumentTypeError(f"{part!r} is no unit 0..255; write --units such as 1-10,255")
        units |= dict.fromkeys(range(first, last + 1))
    return list(units)


# --- which template it is -----------------------------------------------------------------


def _templates(scheme: str) -> dict[str, dict[str, Any]]:
    """What the templates of a protocol want to hear, by their names."""
    found = {path.stem: read(path).data for path in sorted(shipped("devices").glob("*.yaml"))}
    return {
        name: data["identify"] for name, data in found.items() if data.get("protocol") == scheme and "identify" in data
    }


def _template(facts: Mapping[str, Any], templates: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The template that asks for most of those that have it all, or None."""
    fitting = [name for name, wanted in templates.items() if _fits(facts, wanted)]
    return max(fitting, key=lambda name: _weight(templates[name]), default=None)


def _fits(facts: Any, wanted: Any) -> bool:
    """Whether the facts have all that is wanted; texts are patterns, and capitals do not matter."""
    if isinstance(wanted, Mapping):
        return isinstance(facts, Mapping) and all(_fits(facts.get(key), value) for key, value in wanted.items())
    return fnmatchcase(str(facts).casefold(), str(wanted).casefold())


def _weight(wanted: Any) -> int:
    return sum(map(_weight, wanted.values())) if isinstance(wanted, Mapping) else 1


# --- how it is told -----------------------------------------------------------------------


def _json(result: Search, kinds: Sequence[str | None], seconds: float) -> str:
    found = [{**dataclasses.asdict(found), "template": kind} for found, kind in zip(result.found, kinds, strict=True)]
    return json.dumps(
        {"found": found, "asked": result.asked, "requests": result.requests, "seconds": round(seconds, 3)}
    )


def _yaml(url: str, result: Search, kinds: Sequence[str | None], seconds: float) -> str:
    """The devices as YAML; everything said about them is a comment."""
    answered = f"{len(result.found)} of {result.asked} {result.what} answered; {result.requests} requests"
    lines = [f"# {url}: {result.told or answered} in {seconds:.1f} s"]
    if result.found:
        lines.append("devices:")
    for found, kind in zip(result.found, kinds, strict=True):
        lines += ["", f"  {_key(found.name)}:", *_said(found), f"    connect: {found.connect}"]
        lines += [f"    {key}: {_scalar(value)}" for key, value in found.keys.items()]
        lines.append(f"    asset: area/{found.name}  # the machine's place below the site")
        lines += [f"    template: {kind}"] if kind else _tags(found)
    if len(result.found) == result.asked > 1:
        lines += ["", "# Every unit answered: this may be one device that does not look at the unit. Keep one of them."]
    return "\n".join(lines)


def _said(found: Found) -> list[str]:
    words = [f"{name} {value}" for name, value in found.facts.items() if isinstance(value, str) and value]
    lines = [f"    # {', '.join(words)}"] if words else []
    for name, values in found.facts.items():
        lines += [f"    # {name} {value}" for value in values] if isinstance(values, list) else []
    models = [f"{model} at {address}" for model, address in found.facts.get("sunspec", {}).items()]
    return lines + ([f"    # SunSpec models {', '.join(models)}"] if models else [])


def _tags(found: Found) -> list[str]:
    """The tags that a device says it has, or one to begin with."""
    unknown = "    # No template fits. See docs/devices.md, or write what its manual has below tags."
    tags = found.tags or {"value": found.example}
    lines = [f"      {_key(name)}: {_mapping(keys)}" for name, keys in tags.items()]
    return [*([] if found.tags else [unknown]), "    tags:", *lines]


def _mapping(keys: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{name}: {_scalar(value)}" for name, value in keys.items()) + "}"


def _key(name: str) -> str:
    """A name that YAML takes for a text: 7 would be a number."""
    return name if re.fullmatch(r"[a-z][a-z0-9_/-]*", name) else _scalar(name)


def _scalar(value: Any) -> str:
    """A value as JSON, which YAML is too but for letters that it wants escaped, and one by one."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)
