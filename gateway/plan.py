"""From a configuration to what will run: tags with their numbers, connectors, signals. Nothing runs yet.

All that can be wrong is found here or in the configuration, so `gateway check` is this and no more.
"""

import difflib
from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from gateway.alarming import rules
from gateway.alarms.rule import Rule
from gateway.config.schema import Config
from gateway.config.yaml import ConfigError, Document, redacted
from gateway.contracts import (
    Clock,
    Connector,
    Describe,
    Device,
    DeviceJournal,
    KeepWords,
    NoJournal,
    ProtocolModule,
    SignalModule,
    Writer,
    nobody_keeps,
)
from gateway.model import Catalog, Tag
from gateway.model.method import Argument, Method
from gateway.model.tag import EVENT, NO_LABELS, TRIAL, shadow_of
from gateway.production.unit import Unit
from gateway.recall import Built
from gateway.works import units


@dataclass(frozen=True, slots=True)
class PlannedDevice:
    """A device and the connector that will read it. `address` is its URL without the password."""

    name: str
    protocol: str
    address: str
    asset: str
    numbers: NDArray[np.uint32]
    connector: Connector


@dataclass(frozen=True, slots=True)
class Plan:
    """What a configuration comes to."""

    catalog: Catalog
    devices: Sequence[PlannedDevice]
    signals: Mapping[str, Built]
    methods: Mapping[str, Method]
    units: Sequence[Unit]
    alarms: Sequence[Rule]


def plan(
    config: Config,
    document: Document,
    catalog: Catalog,
    protocols: Mapping[str, ProtocolModule],
    kinds: Mapping[str, SignalModule],
    clock: Clock,
    learned: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    *,
    journal: DeviceJournal | None = None,
    shared: MutableMapping[str, dict[str, Any]] | None = None,
    describe: Describe | None = None,
    words: Callable[[str], KeepWords] = lambda device: nobody_keeps,
    only: Collection[str] | None = None,
) -> Plan:
    """Number the tags and build connectors and signals. Raises ConfigError with all that cannot be built.

    `learned` is what connectors knew of their devices when the gateway ran last, by name of the device. `journal` is
    where their readings go; without one nothing is kept. `shared` is what the devices of a protocol have in common,
    `describe` takes what they say of their tags, by default for the catalog, `words` what they answered. Of the
    devices, `only` these get a connector; by default all do.
    """
    journal = journal or NoJournal()
    shared = {} if shared is None else shared
    planned_devices = []
    methods: dict[str, Method] = {}
    for name, keys in config.devices.items():
        protocol = protocols[urlsplit(keys.connect).scheme]
        device = _device(name, keys, config.site.path, document, catalog, protocol)
        _methods(name, keys, config.site.path, document, catalog, methods)
        if only is not None and name not in only:
            continue
        known = replace(
            device,
            learned=learned.get(name, {}),
            shared=shared.setdefault(protocol.SCHEMES[0], {}),
            folder=Path(config.data_dir),
            stored=journal.stored,
            room=journal.room,
            describe=describe or catalog.describe,
            words=words(name),
            past=journal.past(name, catalog.reserve_asset(f"{config.site.path}/{keys.asset}"), device.numbers),
        )
        planned = _connected(known, document, protocol, clock)
        if planned is not None:
            planned_devices.append(planned)
    signals = _signals(config, document, catalog, kinds)
    work = units(config.production, config.site.path, document, catalog)
    alarms = rules(config.alarms, config.site.path, document, catalog)
    if document.findings:
        raise ConfigError(document.findings)
    return Plan(catalog, planned_devices, signals, methods, work, alarms)


def devices(
    config: Config, document: Document, catalog: Catalog, protocols: Mapping[str, ProtocolModule]
) -> list[Device]:
    """Return the devices with their tags numbered, without connectors. Raises ConfigError."""
    site = config.site.path
    found = [
        _device(name, keys, site, document, catalog, protocols[urlsplit(keys.connect).scheme])
        for name, keys in config.devices.items()
    ]
    if document.findings:
        raise ConfigError(document.findings)
    return found


def _device(name: str, keys: Any, site: str, document: Document, catalog: Catalog, protocol: ProtocolModule) -> Device:
    """The device with its tags numbered."""
    tags = [_tag(f"{site}/{keys.asset}", tag_name, tag, name, protocol) for tag_name, tag in keys.tags.items()]
    for tag in tags:
        if tag.path in catalog:
            other = catalog[catalog.number(tag.path)].device
            where = ("devices", name, "tags", tag.name)
            document.find(where, f"{tag.path} is already a tag of {other}", "give one of them another name or asset")
    numbers = np.array([catalog.add(tag) for tag in tags], dtype=np.uint32)
    return Device(name, keys.connect, keys, tags, numbers, list(keys.tags.values()))


def _connected(device: Device, document: Document, protocol: ProtocolModule, clock: Clock) -> PlannedDevice | None:
    """The device with its connector, or None and a finding."""
    try:
        connector = protocol.connector(device, clock)
    except ValueError as error:
        document.find(("devices", device.name), f"devices.{device.name}: {error}")
        return None
    for tag in device.tags if not isinstance(connector, Writer) else ():
        if tag.writable:
            what = f"{tag.path} cannot be written: {protocol.SCHEMES[0]} is only read"
            document.find(("devices", device.name, "tags", tag.name, "write"), what, "take write out")
    asset = device.tags[0].asset
    return PlannedDevice(device.name, protocol.SCHEMES[0], redacted(device.url), asset, device.numbers, connector)


def _methods(device: str, keys: Any, site: str, document: Document, catalog: Catalog, found: dict[str, Method]) -> None:
    """Add the methods of a device, by path."""
    own = {(name, ("methods", name)): method for name, method in getattr(keys, "methods", {}).items()}
    of_tags = {
        (f"{tag}/{name}", ("tags", tag)): method
        for tag, options in keys.tags.items()
        for name, method in getattr(options, "methods", {}).items()
    }
    for (name, where), method in (own | of_tags).items():
        path = f"{site}/{keys.asset}/{name}"
        if path in found or path in catalog:
            what = f"{path} is already a {'method' if path in found else 'tag'}"
            document.find(("devices", device, *where), what, "give one of them another name or asset")
        arguments = {of: Argument(may.limits, tuple(may.choices)) for of, may in method.arguments.items()}
        found[path] = Method(device, name, arguments, method.interval)


def _tag(asset: str, name: str, keys: Any, device: str, protocol: ProtocolModule) -> Tag:
    low, high = keys.range or (None, None)
    return Tag(
        asset,
        name,
        device=device,
        address=protocol.address(keys),
        datatype=getattr(keys, "datatype", ""),
        unit=keys.unit,
        description=keys.description,
        deadband=keys.deadband,
        low=low,
        high=high,
        labels=keys.labels or NO_LABELS,
        writable=keys.write,
        limits=(keys.limits or keys.range) if keys.write else None,
    )


_WATCHED = {
    "input": ("tag", "asset/tag"),
    "speed": ("tag", "asset/tag"),
    "asset": ("asset", "that of a device"),
    "when": ("tag", "tags of the asset of its input"),
    "tags": ("tag", "names of its tags"),
}
"""What a signal watches: what it must be and how it is written, by key."""


def _signals(
    config: Config, document: Document, catalog: Catalog, kinds: Mapping[str, SignalModule]
) -> dict[str, Built]:
    """Build the signals, each as soon as what it watches is there; so those come first whose outputs others take."""
    site = config.site.path
    assets = {catalog[number].asset for number in catalog}
    waiting = {name: _at_site(keys, site) for name, keys in config.signals.items()}
    built: dict[str, Built] = {}
    while ready := [name for name, keys in waiting.items() if not _lacking(keys, _seen(keys, catalog), assets)]:
        for name in ready:
            found = _built(name, waiting.pop(name), document, catalog, kinds)
            built |= {name: found} if found is not None else {}
    for name, keys in waiting.items():
        key, lacking = _lacking(keys, _seen(keys, catalog), assets)[0]
        what, form = _WATCHED[key]
        near = difflib.get_close_matches(lacking, assets if key == "asset" else [catalog[n].path for n in catalog], n=1)
        remedy = f"did you mean {near[0].removeprefix(site + '/')}?" if near else f"write {form}, without the site"
        if lacking in catalog.shadows():
            remedy = f"that is on trial: give {name} shadow: true as well"
        document.find(
            ("signals", name, key), f"signals.{name}.{key} is no {what}: {lacking.removeprefix(site + '/')}", remedy
        )
    return built


def _built(
    name: str, keys: Any, document: Document, catalog: Catalog, kinds: Mapping[str, SignalModule]
) -> Built | None:
    """The signal with its tags numbered, or None and a finding."""
    kind, seen = kinds[keys.type], _seen(keys, catalog)
    tags = kind.outputs(name, keys, getattr(keys, "asset", "") or seen[seen.number(keys.input)].asset)
    tags = {role: _on_trial(tag) for role, tag in tags.items()} if keys.shadow else tags
    for path in [tag.path for tag in tags.values() if tag.path in catalog]:
        document.find(("signals", name), f"signals.{name} derives {path}, which is a tag already", "rename one")
    outputs = {role: catalog.add(tag) for role, tag in tags.items()}
    options = keys.model_dump_json(exclude=None if keys.shadow else {"shadow"})
    trials = [number for number in outputs.values() if _would_raise(catalog[number])]
    try:
        signal = kind.signal(keys, outputs, _seen(keys, catalog))
    except ValueError as error:
        document.find(("signals", name), f"signals.{name}: {error}")
        return None
    return Built(
        signal,
        f"{keys.type} {getattr(kind, 'VERSION', 1)} {options}",
        np.array(list(outputs.values()), np.uint32),
        frozenset(trials),
    )


def _seen(keys: Any, catalog: Catalog) -> Catalog:
    """The tags as a signal sees them: what is on trial only if it is itself."""
    return catalog.shadows() if keys.shadow else catalog


def _on_trial(tag: Tag) -> Tag:
    return replace(tag, name=shadow_of(tag.name), datatype=TRIAL if tag.datatype == EVENT else tag.datatype)


def _would_raise(tag: Tag) -> bool:
    return tag.datatype == TRIAL or tag.name.startswith(shadow_of("_alarm/"))


def _at_site(keys: Any, site: str) -> Any:
    """The keys of a signal with whole paths."""
    paths = {key: path for key in ("input", "speed", "asset") if isinstance(path := getattr(keys, key, None), str)}
    return keys.model_copy(update={key: f"{site}/{path}" for key, path in paths.items()})


def _lacking(keys: Any, catalog: Catalog, assets: Collection[str]) -> list[tuple[str, str]]:
    """What a signal watches and is not there, by the key that names it: a path, or an asset or tags of it."""
    if hasattr(keys, "input"):
        paths = [(key, path) for key in ("input", "speed") if isinstance(path := getattr(keys, key, None), str)]
        if keys.input in catalog:
            asset = catalog[catalog.number(keys.input)].asset
            paths += [("when", f"{asset}/{name}") for name in getattr(keys, "beside", ())]
        return [(key, path) for key, path in paths if path not in catalog]
    if keys.asset not in assets:
        return [("asset", keys.asset)]
    return [("tags", path) for name in keys.watched if (path := f"{keys.asset}/{name}") not in catalog]
