"""From a YAML file to a Config, or to everything that is wrong with it at once.

A device is checked by the keys that all devices have together with those of its protocol, which the scheme of its
URL decides; the same for signals. A template adds tags to a device, which the device may override.
"""

import difflib
import inspect
import typing
from collections.abc import Hashable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError, create_model

from gateway.config.schema import Config, DeviceKeys, SignalKeys, TagKeys
from gateway.config.texts import TagName
from gateway.config.yaml import ConfigError, Document, Where, read
from gateway.contracts import ProtocolModule, SignalModule

M = TypeVar("M", bound=BaseModel)


def load(
    path: Path,
    protocols: Mapping[str, ProtocolModule],
    signals: Mapping[str, SignalModule],
    templates: Path,
) -> tuple[Config, Document]:
    """Read and check a configuration, as `check` does."""
    return check(read(path), protocols, signals, templates)


def check(
    document: Document,
    protocols: Mapping[str, ProtocolModule],
    signals: Mapping[str, SignalModule],
    templates: Path,
) -> tuple[Config, Document]:
    """Check a configuration; the document has the lines. Raises ConfigError with all findings.

    `protocols` are by URL scheme, `signals` by type; `templates` is the folder of the register maps. In the result
    every device is an instance of DeviceKeys and of its protocol's DeviceOptions, each of its tags of TagKeys and
    TagOptions, and each signal of SignalKeys and its Options.
    """
    config = _checked(Config, document.data, document, ())
    if config is not None and config.api.warning:
        document.warn(("api", "listen"), f"api.listen: {config.api.warning}")
    devices = {
        name: checked
        for name, keys in _mapping(document, "devices").items()
        if (checked := _device(document, ("devices", name), keys, protocols, templates))
    }
    built = {
        name: _signal(document, ("signals", name), keys, signals)
        for name, keys in _mapping(document, "signals").items()
    }
    if document.findings or config is None:
        raise ConfigError(document.findings)
    return config.model_copy(update={"devices": Devices(devices), "signals": built}), document


def schema(protocols: Mapping[str, ProtocolModule], signals: Mapping[str, SignalModule]) -> dict[str, Any]:
    """Return the JSON Schema of a configuration with these protocols and signals."""
    modules = {id(module): module for module in protocols.values()}.values()
    device: Any = typing.Union[tuple(_device_model(module) for module in modules)]  # noqa: UP007 (made at run time)
    signal: Any = typing.Union[tuple(_signal_model(name, module) for name, module in signals.items())]  # noqa: UP007
    whole = create_model("Config", __base__=Config, devices=(dict[str, device], {}), signals=(dict[str, signal], {}))
    return whole.model_json_schema()


class Devices(Mapping[str, Any]):
    """Devices that have been checked, by name: model and keys. Each is made anew when somebody asks for it.

    As long as it is there, a tag takes 2 KB; so a plant of 100,000 tags needs them for one device at a time.
    """

    def __init__(self, checked: Mapping[str, tuple[type[BaseModel], Any]]) -> None:
        self._checked = checked

    def prints(self) -> dict[str, int]:
        """Return a number for each that is another one when its keys are, secrets and template included."""
        return {name: hash(repr(keys)) for name, (_, keys) in self._checked.items()}

    def __getitem__(self, name: str) -> Any:
        model, keys = self._checked[name]
        return model.model_validate(keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._checked)

    def __len__(self) -> int:
        return len(self._checked)


def _device(
    document: Document, where: Where, keys: Any, protocols: Mapping[str, ProtocolModule], templates: Path
) -> tuple[type[BaseModel], Any] | None:
    """The model of a device and its keys, those of its template included; None and findings if they do not fit."""
    if not isinstance(keys, dict):
        document.find(where, f"{_dotted(where)} must be a mapping", "write connect, asset and tags below it")
        return None
    try:
        scheme = urlsplit(str(keys.get("connect", ""))).scheme
    except ValueError as error:  # what it says has nothing of a password
        what = f"{_dotted(where)}.connect is no URL: {error}"
        document.find((*where, "connect"), what, "write one such as modbus://192.168.0.7?unit=1")
        return None
    if scheme not in protocols:
        known = ", ".join(sorted(protocols))
        remedy = _nearest(scheme, protocols, f"write one of {known}, such as modbus://192.168.0.7?unit=1")
        document.find(
            (*where, "connect"), f"{_dotted(where)}.connect has no known protocol ({scheme or 'none'})", remedy
        )
        return None
    model = _device_model(protocols[scheme])
    tags = keys.get("tags") or {}
    if isinstance(keys.get("template"), str) and isinstance(tags, dict):
        keys = keys | {"tags": _template(document, where, keys["template"], model, templates) | tags}
    device: Any = _checked(model, keys, document, where)
    if device is None:
        return None
    if not device.tags:
        document.find(where, f"{_dotted(where)} has no tags", "write some below tags, or name a template")
    for name, tag in device.tags.items():
        if warning := getattr(tag, "warning", ""):
            document.warn((*where, "tags", name), f"{_dotted((*where, 'tags', name))}: {warning}")
    return model, keys


def _template(document: Document, where: Where, name: str, model: type[BaseModel], templates: Path) -> dict[str, Any]:
    """The tags of a template; what is wrong there is found in its own file."""
    path = templates / f"{name}.yaml"
    if not path.is_file():
        known = [file.stem for file in templates.glob("*.yaml")]
        document.find(
            (*where, "template"), f"there is no template {name}", _nearest(name, known, "see config/devices/")
        )
        return {}
    try:
        template = read(path)
    except ConfigError as error:
        document.findings += error.findings
        return {}
    tags = template.data.get("tags", {})
    _checked(model, {"connect": "", "asset": "x", "tags": tags}, template, ())
    document.findings += template.findings
    return dict(tags) if not template.findings else {}


def _signal(document: Document, where: Where, keys: Any, signals: Mapping[str, SignalModule]) -> BaseModel | None:
    kind = keys.get("type") if isinstance(keys, dict) else None
    if not isinstance(kind, str) or kind not in signals:
        remedy = _nearest(str(kind), signals, f"write type: and one of {', '.join(sorted(signals))}")
        document.find((*where, "type"), f"{_dotted(where)} has no known type ({kind})", remedy)
        return None
    return _checked(_signal_model(kind, signals[kind]), keys, document, where)


def _device_model(protocol: ProtocolModule) -> type[BaseModel]:
    """The model of the devices of a protocol; one for all configurations, so that they can be compared."""
    return _made_for(cast(Hashable, protocol))


def _signal_model(name: str, module: SignalModule) -> type[BaseModel]:
    return _made_for(cast(Hashable, module), name)


@lru_cache(maxsize=64)
def _made_for(module: Any, signal: str = "") -> type[BaseModel]:
    return _new_signal_model(signal, module) if signal else _new_device_model(module)


def _new_device_model(protocol: ProtocolModule) -> type[BaseModel]:
    name = protocol.SCHEMES[0].title().replace(".", "")
    tag = create_model(f"{name}Tag", __base__=(TagKeys, protocol.TagOptions))
    tags: Any = dict[TagName, tag]  # type: ignore[valid-type]
    return create_model(f"{name}Device", __base__=(DeviceKeys, protocol.DeviceOptions), tags=(tags, {}))


def _new_signal_model(name: str, module: SignalModule) -> type[BaseModel]:
    return create_model(f"{name.title()}Signal", __base__=(SignalKeys, module.Options))


def _checked(model: type[M], data: Any, document: Document, where: Where) -> M | None:
    """The data as the model, or None and findings for each thing that is wrong."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        for problem in error.errors():
            place = tuple(part for part in problem["loc"] if part != "[key]")
            _report(document, (*where, *place), problem["type"], problem["msg"], _fields(model, place[:-1]))
        return None


def _report(document: Document, where: Where, kind: str, message: str, known: Iterable[str]) -> None:
    place, key = _dotted(where), str(where[-1]) if where else ""
    if kind == "extra_forbidden":
        document.find(
            where, f"{place} is not a key here", _nearest(key, known, f"known are {', '.join(sorted(known))}")
        )
    elif kind == "missing":
        document.find(where[:-1], f"{place} is missing", f"add {key}:")
    else:
        what = message.removeprefix("Value error, ")
        document.find(where, f"{place}: {what}" if place else what)


def _fields(model: type[BaseModel], where: Where) -> list[str]:
    """The keys that a model knows at a place below it."""
    for part in where:
        inner = next((f for name, f in model.model_fields.items() if part in (name, f.alias)), None)
        nested = model if inner is None else _model_in(inner.annotation)
        if nested is None:
            return []
        model = nested
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model within Optional[...], dict[..., ...] and the like."""
    if inspect.isclass(annotation) and not typing.get_args(annotation):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((found for argument in typing.get_args(annotation) if (found := _model_in(argument))), None)


def _mapping(document: Document, key: str) -> dict[str, Any]:
    section = document.data.get(key)
    return section if isinstance(section, dict) else {}


def _nearest(word: str, known: Iterable[str], otherwise: str) -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else otherwise


def _dotted(where: Where) -> str:
    return ".".join(map(str, where))
