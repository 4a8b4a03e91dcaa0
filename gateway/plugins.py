"""Finds what can be plugged in: a protocol is a module of `connectors`, a signal one of `gateway.signals`.

There is no list to keep: a module whose name does not begin with an underscore is one, and its names are the contract.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import cast

import connectors
import gateway.signals
from gateway.contracts import ProtocolModule, SignalModule


class Protocols(Mapping[str, ProtocolModule]):
    """Protocols by URL scheme. A module is imported when somebody asks for a scheme that is not known by then.

    So a gateway that only has Modbus devices does not load an OPC UA stack, which would be a fifth of its memory.
    """

    def __init__(self) -> None:
        self._waiting = _names(connectors)
        self._known: dict[str, ProtocolModule] = {}

    def __getitem__(self, scheme: str) -> ProtocolModule:
        while scheme not in self._known and self._waiting:
            protocol = cast(ProtocolModule, importlib.import_module(self._waiting.pop(0)))
            self._known |= dict.fromkeys(protocol.SCHEMES, protocol)
        return self._known[scheme]

    def __iter__(self) -> Iterator[str]:
        self.get("")
        return iter(self._known)

    def __len__(self) -> int:
        return len(list(iter(self)))


def signal_kinds() -> dict[str, SignalModule]:
    """Return the kinds of signal by the name that `type` has in the configuration."""
    return {
        name.rpartition(".")[2]: cast(SignalModule, importlib.import_module(name)) for name in _names(gateway.signals)
    }


def shipped(*parts: str) -> Path:
    """Return the path of a file that comes with the program: the folder `config` of the repository or the wheel."""
    package = Path(gateway.__file__).parent
    installed = package / "shipped"
    return (installed if installed.is_dir() else package.parent / "config").joinpath(*parts)


def _names(package: ModuleType) -> list[str]:
    """The full names of the modules of a package that do not begin with an underscore."""
    names = sorted(info.name for info in pkgutil.iter_modules(package.__path__))
    return [f"{package.__name__}.{name}" for name in names if not name.startswith("_")]
