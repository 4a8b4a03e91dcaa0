"""What comes from host applications: whether the primary one is there, and commands. Pure."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from gateway.mqtt.sparkplug import schema
from gateway.mqtt.sparkplug.schema import Message

COMMAND_S: Final = 30.0
"""How old a command may be; older ones are what somebody wanted then."""


class PrimaryHost:
    """The host without which nothing is published (operational-behavior-primary-application-state-...).

    What counts is the newest STATE: one with an earlier timestamp than the last that was heeded is from a connection
    that is gone. The first is always heeded.
    """

    def __init__(self) -> None:
        self.online = False
        self._since_ms = -1

    def hear(self, payload: bytes) -> None:
        """Take a STATE message; what is none is ignored."""
        try:
            said = json.loads(payload)
        except (ValueError, RecursionError):
            return
        if not isinstance(said, dict):
            return
        online, since_ms = said.get("online"), said.get("timestamp")
        if isinstance(online, bool) and type(since_ms) is int and since_ms >= self._since_ms:
            self.online, self._since_ms = online, since_ms


@dataclass(frozen=True, slots=True)
class Command:
    """What a host wants one metric to be. `id` is the same only for the same message; `device` is empty for the node.

    `time_ms` is when the host said so, 0 where it did not.
    """

    id: str
    device: str
    metric: Message
    time_ms: int

    @property
    def name(self) -> str:
        return str(self.metric.get("name", ""))

    @property
    def alias(self) -> int | None:
        return self.metric.get("alias")

    def value(self, datatype: int) -> Any:
        """Return the value that is wanted; `datatype` is that of the birth, for commands need not repeat it."""
        return None if self.metric.get("is_null") else schema.value_of({"datatype": datatype} | self.metric)


def commands(device: str, payload: bytes) -> Iterator[Command]:
    """Yield what an NCMD or DCMD asks for, metric by metric. Raises ValueError if it is no payload."""
    said = schema.read(payload)
    number = hashlib.sha256(device.encode() + b"/" + payload).hexdigest()[:32]
    for i, metric in enumerate(said["metrics"]):
        time_ms = metric.get("timestamp", said.get("timestamp", 0))
        yield Command(f"sparkplug-{number}-{i}", device, metric, time_ms)
