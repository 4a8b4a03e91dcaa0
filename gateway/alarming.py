"""From the section `alarms` of a configuration to the rules of each tag, and to the register that keeps them."""

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from gateway.alarms.alarm import Settings
from gateway.alarms.file import AlarmFile
from gateway.alarms.keeper import AlarmKeeper
from gateway.alarms.register import TAG, Register
from gateway.alarms.rule import Kind, Rule
from gateway.config.alarms import AlarmRule, Alarms
from gateway.config.yaml import Document
from gateway.contracts import Clock, Offload
from gateway.journal import Journal
from gateway.model import Catalog, Tag
from gateway.model.method import Method
from gateway.model.tag import EVENT

_GLOB = frozenset("*?[")


def rules(keys: Alarms | None, site: str, document: Document, catalog: Catalog) -> list[Rule]:
    """Return the alarms of all tags, and add the tags that tell of them; what is no tag is a finding."""
    if keys is None:
        return []
    configured = [tag for tag in map(catalog.__getitem__, catalog) if tag.datatype != EVENT]
    tags = {tag.path.removeprefix(f"{site}/"): tag for tag in configured}
    found = [
        rule
        for name, one in keys.rules.items()
        for tag in _matching(name, one, tags, document)
        for rule in _of(name, one, tag, keys.priorities, site, tags, document)
    ]
    for twice in [id for id, n in Counter(rule.id for rule in found).items() if n > 1]:
        document.find(("alarms", "rules"), f"alarms.rules has two alarms {twice}", "give one of them another name")
    assets = {rule.asset for rule in found} | {catalog[n].asset for n in catalog if catalog[n].datatype == EVENT}
    for asset in sorted(assets):
        catalog.add(Tag(asset, TAG, datatype=EVENT, description="what happens to alarms"))
    return found


def open_register(
    keys: Alarms,
    rules: Sequence[Rule],
    methods: Mapping[str, Method],
    site: str,
    path: Path,
    resources: ExitStack,
    thread: Offload,
    catalog: Catalog,
    journal: Journal,
    clock: Clock,
) -> AlarmKeeper:
    """Return who keeps the register in a file. Raises OSError if it cannot be written."""
    file = AlarmFile(path)
    resources.callback(file.close)
    durations = (round(keys.shelve_max * 1e9), round(keys.retention * 1e9))
    settings = Settings(site, journal.id, keys.priorities, *durations)
    register = Register(file, catalog, rules, methods, settings, clock.now_ns)
    return AlarmKeeper(register, file, thread, catalog, clock, journal.appended)


def _matching(name: str, keys: AlarmRule, tags: Mapping[str, Tag], document: Document) -> list[Tag]:
    """The tags of a rule; a glob is like what signals derive only if it says so."""
    if not _GLOB & set(keys.tag):
        found = _tag(("alarms", "rules", name, "tag"), keys.tag, tags, document)
        return [] if found is None else [found]
    derived = "/_" in keys.tag
    matching = [
        tag for path, tag in tags.items() if fnmatchcase(path, keys.tag) and (derived or not tag.name.startswith("_"))
    ]
    if not matching:
        where = ("alarms", "rules", name, "tag")
        document.find(where, f"{'.'.join(where)}: no tag is like {keys.tag}", "write a glob over paths below the site")
    return matching


def _tag(where: Sequence[str], path: str, tags: Mapping[str, Tag], document: Document) -> Tag | None:
    if path not in tags:
        near = difflib.get_close_matches(path, tags, n=1)
        remedy = f"did you mean {near[0]}?" if near else "write asset/tag, without the site"
        document.find(where, f"{'.'.join(where)} is no tag: {path}", remedy)
    return tags.get(path)


def _of(
    name: str,
    keys: AlarmRule,
    tag: Tag,
    severities: Mapping[str, int],
    site: str,
    tags: Mapping[str, Tag],
    document: Document,
) -> Iterator[Rule]:
    """The alarms of one tag."""
    common = Rule(
        id="",
        name=name,
        tag=tag.path,
        asset=tag.asset,
        kind=Kind.COMMS,
        priority=keys.priority,
        severity=severities[keys.priority],
        deadband=keys.deadband,
        on_delay_ns=round(keys.on_delay * 1e9),
        off_delay_ns=round(keys.off_delay * 1e9),
        latching=keys.latching,
        text=keys.text,
        response=keys.response,
        consequence=keys.consequence,
    )
    levels = {str(level): word for level, word in keys.level_priorities.items()}
    for suffix, own in _conditions(name, keys, tags, document):
        priority = levels.get(suffix, keys.priority)
        whole = f"{name}_{suffix}" if suffix else name
        id = f"{tag.path.removeprefix(f'{site}/')}/{whole}"
        yield replace(common, id=id, name=whole, priority=priority, severity=severities[priority], **own)


def _conditions(
    name: str, keys: AlarmRule, tags: Mapping[str, Tag], document: Document
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is to be judged, by the end of the name of the alarm."""
    if keys.limits is not None:
        for level, limit in keys.limits.given.items():
            yield level, {"kind": Kind.LIMIT, "limit": limit, "high": level.startswith("high")}
    elif keys.deviation is not None:
        setpoint: float | str | None = keys.deviation.setpoint
        if isinstance(setpoint, str):
            found = _tag(("alarms", "rules", name, "deviation", "setpoint"), setpoint, tags, document)
            setpoint = None if found is None else found.path
        for level, limit in keys.deviation.given.items():
            high = level.startswith("high")
            yield level, {"kind": Kind.DEVIATION, "limit": limit, "high": high, "setpoint": setpoint}
    elif keys.rate is not None:
        per = {"kind": Kind.RATE, "per_ns": round(keys.rate.per * 1e9)}
        if keys.rate.rise is not None:
            yield "rise", {**per, "limit": keys.rate.rise}
        if keys.rate.fall is not None:
            yield "fall", {**per, "limit": -keys.rate.fall, "high": False}
    elif keys.comms is not None:
        yield "", {"kind": Kind.COMMS, "silent_ns": round(keys.comms.silent * 1e9), "deadband": 0.0}
    else:
        kind = Kind.OFF_NORMAL if keys.normal is not None else Kind.DISCRETE
        values = tuple(keys.normal or keys.values or ())
        yield "", {"kind": kind, "values": values, "deadband": 0.0}
