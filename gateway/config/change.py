"""What is different between two configurations, and which connections that touches. Pure; never tells a value.

A device is known by its name, a tag by its path. Sections other than devices and signals are what a gateway is made
of when it starts, so a difference there needs a restart.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from pydantic import BaseModel

from gateway.config.schema import Config

_LIVE: Final = frozenset({"devices", "signals", "changes"})
_TOLD: Final = frozenset({"unit", "description", "labels", "range", "limits"})
"""Keys of a tag that no connector asks for: what its readings are called, not how they are read."""


class ConflictError(Exception):
    """The configuration is not the one that somebody meant to change."""


@dataclass(frozen=True, slots=True)
class Renamed:
    """A tag that is read as before and has another path."""

    before: str
    after: str


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """What is different about one device. `keys` are its own, by name; tags are paths below the site.

    `reconnects` says that its connection is closed, opened, or both.
    """

    name: str
    what: str
    reconnects: bool
    keys: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    renamed: tuple[Renamed, ...] = ()
    changed: tuple[str, ...] = ()

    def __str__(self) -> str:
        counts = {name: len(getattr(self, name)) for name in ("added", "removed", "renamed", "changed")}
        said = [f"{', '.join(self.keys)} changed"] if self.keys else []
        said += [f"{n} tags {what}" for what, n in counts.items() if n]
        verb = {"added": "connects", "removed": "disconnects"}.get(self.what, "reconnects")
        effect = verb if self.reconnects else "stays connected"
        return f"device {self.name} is {self.what} and {effect}" + (f": {'; '.join(said)}" if said else "")


@dataclass(frozen=True, slots=True)
class Change:
    """The difference between two configurations. `untouched` are the devices whose connections stay as they are."""

    devices: tuple[DeviceChange, ...] = ()
    signals: Mapping[str, str] = field(default_factory=dict)
    restart: tuple[str, ...] = ()
    untouched: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.devices or self.signals or self.restart)

    @property
    def stops(self) -> list[str]:
        """The devices whose connections are closed."""
        return [device.name for device in self.devices if device.reconnects and device.what != "added"]

    @property
    def starts(self) -> list[str]:
        """The devices whose connections are opened."""
        return [device.name for device in self.devices if device.reconnects and device.what != "removed"]

    def lines(self) -> list[str]:
        """Return it for people, a line for each thing that is different, and one for what is not."""
        said = [str(device) for device in self.devices]
        said += [f"signal {name} is {what}" for name, what in self.signals.items()]
        said += [f"{key} changed and needs a restart" for key in self.restart]
        return [*(said or ["nothing changes"]), f"{len(self.untouched)} connections are not touched"]

    def described(self) -> dict[str, Any]:
        """Return it in what JSON can carry."""
        return asdict(self) | {"stops": self.stops, "starts": self.starts}


def diff(old: Config, new: Config, otherwise: Collection[str] = ()) -> Change:
    """Return what is different; devices named in `otherwise` are, for a reason that cannot be seen here."""
    compared = list(_compared(old.devices, new.devices))
    devices = list(_devices(compared, old.devices, new.devices, otherwise))
    touched = {device.name for device in devices if device.reconnects}
    return Change(
        tuple(devices),
        {name: what for name, what in _compared(old.signals, new.signals) if what},
        tuple(_restart(old, new)),
        tuple(name for name, _ in compared if name not in touched),
    )


def _compared(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every name of both with what became of it; nothing if it is the same."""
    for name in [*old, *(name for name in new if name not in old)]:
        if name not in new:
            yield name, "removed"
        elif name not in old:
            yield name, "added"
        else:
            yield name, "changed" if old[name] != new[name] else ""


def _devices(
    compared: Iterable[tuple[str, str]], old: Mapping[str, Any], new: Mapping[str, Any], otherwise: Collection[str]
) -> Iterator[DeviceChange]:
    for name, what in compared:
        match what:
            case "added":
                yield DeviceChange(name, what, True, added=tuple(_tags(new[name])))
            case "removed":
                yield DeviceChange(name, what, True, removed=tuple(_tags(old[name])))
            case _ if what or name in otherwise:
                yield _device(name, old[name], new[name], hidden=name in otherwise)


def _device(name: str, old: Any, new: Any, *, hidden: bool) -> DeviceChange:
    before, after = _tags(old), _tags(new)
    keys = tuple(key for key in _keys(old, new) if key != "tags")
    added = [path for path in after if path not in before]
    removed = [path for path in before if path not in after]
    changed = [path for path in after if path in before and after[path] != before[path]]
    renamed = list(_renamed([(path, before[path]) for path in removed], [(path, after[path]) for path in added]))
    read = keys or added or removed or any(set(_keys(before[path], after[path])) - _TOLD for path in changed)
    return DeviceChange(
        name,
        "changed",
        bool(read or hidden),
        keys,
        tuple(path for path in added if path not in {pair.after for pair in renamed}),
        tuple(path for path in removed if path not in {pair.before for pair in renamed}),
        tuple(renamed),
        tuple(changed),
    )


def _renamed(removed: list[tuple[str, Any]], added: list[tuple[str, Any]]) -> Iterator[Renamed]:
    """Pairs whose keys are the same, and of no other tag that came or went."""
    for before, keys in removed:
        twins = [path for path, others in added if others == keys]
        if len(twins) == 1 and sum(others == keys for _, others in removed) == 1:
            yield Renamed(before, twins[0])


def _tags(device: Any) -> dict[str, Any]:
    """The tags of a device by path."""
    return {f"{device.asset}/{name}": keys for name, keys in device.tags.items()}


def _keys(old: BaseModel, new: BaseModel) -> list[str]:
    """The keys in which two models differ; all of the new one if they are of different protocols."""
    fields = list(type(new).model_fields)
    if type(old).model_fields.keys() != type(new).model_fields.keys():
        return fields
    return [key for key in fields if getattr(old, key) != getattr(new, key)]


def _restart(old: Config, new: Config) -> Iterator[str]:
    for section in type(new).model_fields:
        before, after = getattr(old, section), getattr(new, section)
        if section in _LIVE or before == after:
            continue
        if isinstance(before, BaseModel) and isinstance(after, BaseModel):
            yield from (f"{section}.{key}" for key in _keys(before, after))
        else:
            yield section
