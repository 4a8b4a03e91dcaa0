"""Look what is on a broker: gateways and what their tags are, edge nodes, and topics with single values.

It only listens, for some seconds. What a gateway says of its tags (`_meta`) is retained, so all of it is found; of an
edge node only what it says meanwhile; of sensors what they say or have retained.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from connectors._bus import values
from connectors._bus.listening import listen
from connectors._bus.path import JsonPath
from connectors._bus.source import Heard
from connectors._found import Found, Search
from gateway.mqtt.sparkplug import schema
from gateway.mqtt.sparkplug.names import NAMESPACE

_LISTEN_S: Final = 5.0
_TAGS_MAX: Final = 1_000
_META, _BATCH = "/_meta", "/_batch"
_TIMES: Final = ("timestamp", "time", "ts", "datetime")
"""Members of a document that are taken for its source time."""
_OLDEST_S: Final = 1_000_000_000
"""September 2001: a smaller number is no time in seconds."""
_DEPTH_MAX: Final = 4
_EXAMPLE: Final = {"topic": "hall/temperature"}


async def discover(url: str, *, timeout_s: float = _LISTEN_S) -> Search:
    """Listen to all topics for so long. Raises ValueError if the broker is not there or does not let us."""
    try:
        heard = await listen(url, "#", quiet_s=timeout_s, longest_s=timeout_s)
    except OSError as error:
        raise ValueError(
            f"{str(error) or 'no answer'}: check address, user and password, and start the broker"
        ) from error
    topics = {message.topic: message for message in heard if message.payload}
    gateways = dict(_assets(topics))
    nodes = dict(_nodes(heard))
    roots = tuple(f"{asset}/" for asset in gateways)
    others = {
        topic: message.payload
        for topic, message in topics.items()
        if not topic.startswith((*roots, f"{NAMESPACE}/", "$")) and not any(s.startswith("_") for s in topic.split("/"))
    }
    connect = _connect(url)
    found = [_gateway_asset(connect, asset, tags) for asset, tags in gateways.items()]
    found += [_edge_node(connect, node, names) for node, names in nodes.items()]
    if tags := _sensors(others):
        found.append(Found("sensors", connect, {"topics": f"{len(others)}"}, _EXAMPLE, tags))
    return Search(found, 1, 1, told=f"{len(found)} devices on {len(topics)} topics that were heard")


# --- gateways -----------------------------------------------------------------------------


def _assets(topics: Mapping[str, Heard]) -> Iterable[tuple[str, dict[str, dict[str, Any]]]]:
    """The assets of gateways as topics, with the keys of their tags."""
    for topic, message in topics.items():
        if topic.endswith(_META) and isinstance(tags := _json(message.payload).get("tags"), dict):
            yield topic.removesuffix(_META), {name: _keys(facts) for name, facts in tags.items() if _is_name(name)}
        elif topic.endswith(_BATCH) and "/_gateway/" not in topic and topic.replace(_BATCH, _META) not in topics:
            names = _json(message.payload).get("tags", [])
            yield topic.removesuffix(_BATCH), {name: {} for name in names if isinstance(name, str) and _is_name(name)}


def _keys(facts: Any) -> dict[str, Any]:
    """What the gateway says of a tag that its reader may say too."""
    facts = facts if isinstance(facts, dict) else {}
    keys = {key: facts[key] for key in ("unit", "description") if isinstance(facts.get(key), str)}
    bounds = facts.get("range")
    return keys | ({"range": bounds} if isinstance(bounds, list) and len(bounds) == 2 and None not in bounds else {})


def _is_name(name: str) -> bool:
    return re.fullmatch(r"[a-z0-9-][a-z0-9_-]*(/[a-z0-9-][a-z0-9_-]*)*", name) is not None


def _gateway_asset(connect: str, asset: str, tags: Mapping[str, Mapping[str, Any]]) -> Found:
    root = asset.split("/")[0]
    keys = {"batch": asset} if root == "uns" else {"batch": asset, "root": root}
    return Found(_slug("-".join(asset.split("/")[3:])), connect, {"gateway": "batches"}, _EXAMPLE, tags, keys)


# --- edge nodes ---------------------------------------------------------------------------


def _nodes(heard: Iterable[Heard]) -> Iterable[tuple[str, list[str]]]:
    """Edge nodes and devices as `group/node/device`, with the names that their births or data had."""
    names: dict[str, dict[str, None]] = {}
    for message in heard:
        levels = message.topic.split("/")
        if levels[0] != NAMESPACE or len(levels) < 4 or levels[2][1:] not in ("BIRTH", "DATA") or message.retained:
            continue
        known = names.setdefault("/".join([levels[1], *levels[3:]]), {})
        try:
            metrics = schema.read(message.payload)["metrics"]
        except ValueError:
            continue  # whatever it is, it is no edge node
        told = [metric["name"] for metric in metrics if metric.get("name")]
        known |= dict.fromkeys(name for name in told if name != "bdSeq" and not name.startswith("Node Control/"))
    return ((node, list(metrics)) for node, metrics in names.items() if metrics or node.count("/") == 2)


def _edge_node(connect: str, node: str, names: Sequence[str]) -> Found:
    tags = _unique((name, {"name": name}) for name in names)
    facts = {} if names else {"births": "none heard; start the node anew, and listen meanwhile"}
    example = {"name": "Inputs/Temperature"}
    return Found(_slug("-".join(node.split("/")[1:])), connect, facts, example, tags, {"sparkplug": node})


# --- sensors ------------------------------------------------------------------------------


def _sensors(topics: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """A tag for each topic with a single value, and for each value of one with a document."""
    return _unique(tag for topic in sorted(topics) for tag in _tags(topic, topics[topic]))


def _tags(topic: str, payload: bytes) -> Iterable[tuple[str, dict[str, Any]]]:
    try:
        said = values.plain(payload)
    except ValueError:
        return  # an image, a file
    if not isinstance(said, dict):
        if isinstance(said, (bool, int, float, str)) and len(payload) <= 1024:
            yield topic, {"topic": topic}
        return
    time = next((_time(name, said[name]) for name in _TIMES if name in said and _time(name, said[name])), {})
    for path in _places(said, ()):
        if str(JsonPath(path)) != time.get("time"):
            yield f"{topic}/{path[-1]}", {"topic": topic, "value": str(JsonPath(path)), **time}


def _places(document: Any, above: tuple[str | int, ...]) -> Iterable[tuple[str | int, ...]]:
    """Where in a document there are numbers, true and false."""
    if isinstance(document, dict) and len(above) < _DEPTH_MAX:
        for name, value in document.items():
            if re.fullmatch(r"[^'\[\].]+", name):
                yield from _places(value, (*above, name))
    elif isinstance(document, (bool, int, float)):
        yield above


def _time(name: str, value: Any) -> dict[str, Any]:
    """The keys for a source time, or none if this is no time: the unit is told by the size of the number."""
    if isinstance(value, str):
        try:
            values.time_ns(value, "iso")
        except ValueError:
            return {}
        return {"time": f"$.{name}"}
    if isinstance(value, (int, float)) and value > _OLDEST_S:
        unit = next(unit for unit, factor in _UNITS.items() if value < 100 * _OLDEST_S * factor or unit == "ns")
        return {"time": f"$.{name}", "time_unit": unit}
    return {}


_UNITS: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


# --- as a configuration -------------------------------------------------------------------


def _connect(url: str) -> str:
    """The URL for the configuration, with a place for the password in place of it."""
    where = urlsplit(url)
    user = f"{where.username}:${{MQTT_PASSWORD}}@" if where.username else ""
    return f"{where.scheme}://{user}{where.netloc.rpartition('@')[2]}"


def _unique(tags: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Tags by a name in `[a-z0-9_-]` that no other has, at most a thousand."""
    named: dict[str, dict[str, Any]] = {}
    for name, keys in tags:
        slug = "/".join(_slug(part) for part in name.strip("/").split("/"))
        number, free = 1, slug
        while free in named:
            number += 1
            free = f"{slug}_{number}"
        if len(named) < _TAGS_MAX:
            named[free] = keys
    return named


def _slug(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).casefold().encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^a-z0-9-]+", "_", plain).strip("_") or "unnamed"


def _json(payload: bytes) -> dict[str, Any]:
    try:
        said = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}
