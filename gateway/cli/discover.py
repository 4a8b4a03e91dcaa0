"""`gateway discover`: what is there, as a section of a configuration.

A protocol that can search offers `discover(url, units=..., timeout_s=...)`, which returns a Search
(connectors/_found.py). A template says in `identify` what a device must say of itself to be one of its kind.
"""

import argparse
import asyncio
import dataclasses
import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final
from urllib.parse import urlsplit

from connectors._found import Found, Search
from gateway.config.yaml import read
from gateway.plugins import Protocols, shipped

HELP = "look what answers at an address, and print it as devices for a configuration"
EXAMPLES = """  gateway discover modbus://192.168.0.7
  gateway discover modbus://192.168.0.7:502 --units 1-247 --timeout 0.3
  gateway discover modbus://192.168.0.7 --json
  gateway discover modbus://192.168.0.7 >> plant.yaml"""

_UNITS: Final = "1-10,255,0"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", help="where to look, such as modbus://192.168.0.7")
    parser.add_argument("--units", type=_units, default=_UNITS, metavar="N-M,N", help=f"Modbus units; default {_UNITS}")
    parser.add_argument("--timeout", type=float, default=1.0, metavar="S", help="how long to wait for an answer")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")


def run(args: argparse.Namespace) -> int:
    try:
        scheme = urlsplit(args.url).scheme
    except ValueError as error:
        print(f"gateway discover: {args.url!r} is no URL: {error}; write modbus://192.168.0.7", file=sys.stderr)
        return 2
    protocol = Protocols().get(scheme)
    search = getattr(protocol, "discover", None)
    if search is None:
        print(f"gateway discover: {_unsearchable(args.url, known=protocol is not None)}", file=sys.stderr)
        return 2
    start = time.monotonic()
    try:
        result = asyncio.run(search(args.url, units=args.units, timeout_s=args.timeout))
    except ValueError as error:
        print(f"gateway discover: {error}", file=sys.stderr)
        return 2
    seconds = time.monotonic() - start
    templates = _templates(scheme)
    kinds = [_template(found.facts, templates) for found in result.found]
    print(_json(result, kinds, seconds) if args.json else _yaml(args.url, result, kinds, seconds))
    return 0 if result.found else 1


def _unsearchable(url: str, *, known: bool) -> str:
    scheme, found, _ = url.partition("://")
    if not found:
        return f"{url} has no known protocol; write modbus://{url}"
    return f"{scheme}:// {'cannot be searched' if known else 'is no known protocol'}; modbus://host can"


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
    lines = [
        f"# {url}: {len(result.found)} of {result.asked} units answered; {result.requests} requests in {seconds:.1f} s"
    ]
    if result.found:
        lines.append("devices:")
    for found, kind in zip(result.found, kinds, strict=True):
        lines += ["", f"  {found.name}:", *_said(found), f"    connect: {found.connect}"]
        lines.append(f"    asset: area/{found.name}  # the machine's place below the site")
        lines += [f"    template: {kind}"] if kind else _skeleton(found)
    if len(result.found) == result.asked > 1:
        lines += ["", "# Every unit answered: this may be one device that does not look at the unit. Keep one of them."]
    return "\n".join(lines)


def _said(found: Found) -> list[str]:
    words = [f"{name} {value}" for name, value in found.facts.items() if isinstance(value, str) and value]
    models = [f"{model} at {address}" for model, address in found.facts.get("sunspec", {}).items()]
    lines = [f"    # {', '.join(words)}"] if words else []
    return lines + ([f"    # SunSpec models {', '.join(models)}"] if models else [])


def _skeleton(found: Found) -> list[str]:
    return [
        "    # No template fits. See docs/devices.md, or write the registers of its manual below tags.",
        "    tags:",
        f"      value: {json.dumps(found.example)}",
    ]
