"""`gateway sparkplug-check`: an edge node of Sparkplug B held against the standard, whoever has made it."""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, Final

from gateway.bus.sparkplug import metrics
from gateway.bus.sparkplug.assertions import CHECKS
from gateway.bus.sparkplug.line import Line
from gateway.bus.sparkplug.watch import Result, Watch
from gateway.mqtt import Message, Mqtt, connect
from gateway.mqtt.sparkplug import names, wire
from gateway.mqtt.sparkplug.names import NAMESPACE, REBIRTH, Names
from gateway.mqtt.sparkplug.schema import Datatype
from gateway.ports import address

HELP = "check an edge node of Sparkplug B on its broker: 66 observations, pass or fail"
EXAMPLES = """  gateway sparkplug-check mqtt://broker:1883                # watch, ask for a rebirth, send nonsense
  gateway sparkplug-check mqtt://broker:1883 --node acme:dresden/gw1 --seconds 60 --json
  gateway sparkplug-check mqtt://broker:1883 --passive      # only watch
  gateway sparkplug-check mqtt://broker:1883 --host scada   # act as its primary host: go away, come back
  gateway sparkplug-check mqtt://broker:1883 --write press/speed=42 # and see whether it comes back
  gateway sparkplug-check mqtt://broker:1883 --node g/n --listen 127.0.0.1:1884 --restart 60
                                                                    # the node connects here; stop and start it"""

_PATIENCE_S: Final = 10.0
"""How long a node may take to answer a command, or a STATE."""
_CALM_S: Final = 2.0
"""How long it is watched whether nothing happens."""
_NONSENSE: Final = (b"", b"\xff\xff\xff", b"{}", wire.data(2, wire.data(1, b"Node Control/Unknown") + wire.uint(14, 1)))


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", help="the broker, mqtt://... or mqtts://...")
    parser.add_argument("--node", metavar="GROUP/NODE", help="which edge node; may be left out if there is one")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="how long to watch")
    parser.add_argument("--passive", action="store_true", help="send nothing at all")
    parser.add_argument("--host", metavar="ID", help="send STATE as this primary host: it must not be there itself")
    parser.add_argument("--write", metavar="DEVICE/METRIC=NUMBER", help="send a DCMD; the value is written")
    parser.add_argument("--listen", metavar="ADDRESS:PORT", help="carry the node's connection and look at its packets")
    parser.add_argument("--restart", type=float, default=0.0, metavar="S", help="wait for a death and the next birth")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    wrong = _usage(args)
    if wrong:
        print(f"gateway sparkplug-check: {wrong}", file=sys.stderr)
        return 2
    watch = asyncio.run(_check(args))
    print(_json(watch) if args.json else _text(watch))
    return 1 if any(result.status == "fail" for result in watch.results.values()) else 0


def _usage(args: argparse.Namespace) -> str:
    """What is wrong with the options, if anything."""
    if not args.url.startswith(("mqtt://", "mqtts://")):
        return "the broker must be mqtt://... or mqtts://..."
    if args.node is not None and args.node.count("/") != 1:
        return "--node is GROUP/NODE"
    if args.listen and not args.node:
        return "--listen needs --node, for the first packet is looked at"
    if args.passive and (args.host or args.write):
        return "--passive sends nothing: take --host and --write out"
    if args.write and not (args.write.partition("=")[0].count("/") and _number(args.write.rpartition("=")[2])):
        return "--write is DEVICE/METRIC=NUMBER"
    return ""


async def _check(args: argparse.Namespace) -> Watch:
    """Watch and provoke. Raises OSError if the broker is lost, or nothing is heard of the node."""
    async with AsyncExitStack() as stack:
        mqtt = await stack.enter_async_context(connect(args.url, f"gateway-sparkplug-check-{os.getpid()}"))
        ear = Ear(Names(*args.node.split("/")) if args.node else None)
        if args.listen:
            assert ear.watch is not None
            port = await stack.enter_async_context(Line(args.url, ear.watch).listening(*address(args.listen)))
            print(f"the edge node must connect to port {port} now", file=sys.stderr, flush=True)
        await mqtt.watch(f"{NAMESPACE}/#", ear.hear)
        if args.host:
            await _publish(mqtt, names.state(args.host), _state(True, _now_ms()), retain=True)
        wait_s = max(args.seconds, args.restart, _PATIENCE_S)
        if not await ear.until(lambda watch: True, wait_s):
            raise ConnectionError(f"nothing was heard of {args.node or 'any edge node'} within {wait_s:g} s")
        probe = Probe(mqtt, ear, ear.chosen())
        if not args.passive:
            await probe.rebirth()
            await probe.nonsense()
        await probe.calm(args.seconds)
        if args.write:
            await probe.write(args.write)
        if args.host:
            await probe.state(args.host)
        if args.restart:
            await probe.restart(args.restart)
        await probe.retained(args.url)
        if args.host:
            await _publish(mqtt, names.state(args.host), b"", retain=True)  # nothing of it stays
        return probe.watch


class Ear:
    """Hears everything of Sparkplug on a broker, and has a watch for each node, or for the one that is asked for."""

    def __init__(self, wanted: Names | None) -> None:
        self.watch = None if wanted is None else Watch(wanted)
        self._wanted = wanted
        self._heard: dict[Names, Watch] = {}
        self._news = asyncio.Event()

    def hear(self, topic: str, payload: bytes, retained: bool, qos: int) -> None:
        levels = topic.split("/")
        if len(levels) < 4 or levels[2].endswith("CMD"):
            return
        who = Names(levels[1], levels[3])
        if self._wanted is not None and who != self._wanted:
            return
        watch = self._heard.setdefault(who, self.watch or Watch(who))
        watch.hear(topic, payload, retained, qos, _now_ms())
        self._news.set()

    def chosen(self) -> Watch:
        """Return the watch of the node. Raises OSError naming all if there are several."""
        if len(self._heard) > 1:
            known = ", ".join(f"{who.group}/{who.node}" for who in self._heard)
            raise ConnectionError(f"there are several edge nodes: name one by --node ({known})")
        (self.watch,) = self._heard.values()
        return self.watch

    async def until(self, true: Callable[[Watch], bool], patience_s: float) -> bool:
        """Wait until something is true of a node that was heard; return whether it is."""
        try:
            async with asyncio.timeout(patience_s):
                while not any(true(watch) for watch in self._heard.values()):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True


class Probe:
    """Provokes one node and takes note of how it answers."""

    def __init__(self, mqtt: Mqtt, ear: Ear, watch: Watch) -> None:
        self.watch = watch
        self._mqtt = mqtt
        self._ear = ear

    async def calm(self, seconds: float) -> None:
        """Watch for a while."""
        await self._ear.until(lambda watch: False, seconds)

    async def rebirth(self) -> None:
        births = self.watch.births
        self.watch.ask_rebirth()
        await _publish(self._mqtt, self.watch.names.topic("NCMD"), _command(REBIRTH, Datatype.BOOLEAN, True))
        answered = await self._ear.until(lambda watch: watch.births > births and watch.reborn(), _PATIENCE_S)
        if not answered:
            self.watch.note(51, f"no births of all that were alive within {_PATIENCE_S:g} s")

    async def nonsense(self) -> None:
        """Send commands that are none; the node must live on."""
        bdseq = self.watch.bdseq
        devices = [device for device in self.watch.born if device]
        for topic in [self.watch.names.topic("NCMD"), *(self.watch.names.topic("DCMD", d) for d in devices[:1])]:
            for payload in _NONSENSE:
                await _publish(self._mqtt, topic, payload)
        await self.calm(_CALM_S)
        await self.rebirth()
        same = self.watch.online and self.watch.bdseq == bdseq
        self.watch.expect(64, same, "after commands that are none the node was gone, or had connected again")

    async def write(self, what: str) -> None:
        """Write a number and wait until it comes back."""
        path, _, text = what.rpartition("=")
        device, _, name = path.partition("/")
        metric = self.watch.born.get(device, {}).get(name)
        if metric is None:
            self.watch.note(65, f"{device!r} has no metric {name!r}")
            return
        number, datatype = float(text), metric["datatype"]
        value: Any = number if datatype in (Datatype.FLOAT, Datatype.DOUBLE) else int(number)
        command = _command(name, Datatype.DOUBLE if isinstance(value, float) else Datatype.INT64, value)
        await _publish(self._mqtt, self.watch.names.topic("DCMD", device), command)
        back = await self._ear.until(lambda watch: watch.value(device, name) == value, _PATIENCE_S)
        self.watch.expect(65, back, f"{what} did not come back within {_PATIENCE_S:g} s")

    async def state(self, host: str) -> None:
        """Go away and come back as the primary host, and be taken for others."""
        topic, now_ms, watch = names.state(host), _now_ms(), self.watch
        await _publish(self._mqtt, topic, _state(False, now_ms - 60_000))
        await self.calm(_CALM_S)
        watch.expect(58, watch.online, "it went away for an offline that is older than the last online")
        await _publish(self._mqtt, topic, _state(False, now_ms), retain=True)
        gone = await self._ear.until(lambda watch: not watch.online, _PATIENCE_S)
        watch.expect(56, gone, f"no NDEATH within {_PATIENCE_S:g} s after the primary host went offline")
        if not gone:
            return
        for number, where, payload in (
            (53, "", b""),
            (54, names.state(f"{host}-other"), _state(True, now_ms + 1)),
            (55, topic, _state(True, now_ms - 1)),
        ):
            if where:
                await _publish(self._mqtt, where, payload)
            await self.calm(_CALM_S)
            watch.expect(number, not watch.online, "it gave birth without its primary host")
        await _publish(self._mqtt, topic, _state(True, _now_ms()), retain=True)
        back = await self._ear.until(lambda watch: watch.online, 4 * _PATIENCE_S)
        if not back:
            watch.note(56, f"no NBIRTH within {4 * _PATIENCE_S:g} s after the primary host came back")
        await self.calm(_CALM_S)

    async def restart(self, seconds: float) -> None:
        """Wait until the node has died and is there again; whoever calls sees to that."""
        births = self.watch.births
        print("stop the edge node now, and start it again", file=sys.stderr, flush=True)
        await self._ear.until(lambda watch: watch.births > births, seconds)
        await self.calm(_CALM_S)

    async def retained(self, url: str) -> None:
        """Subscribe anew: what comes at once was retained."""
        async with connect(url, f"gateway-sparkplug-check-{os.getpid()}-again") as mqtt:
            who = self.watch.names
            await mqtt.watch(f"{NAMESPACE}/{who.group}/+/{who.node}/#", self._stale)
            await asyncio.sleep(_CALM_S / 2)

    def _stale(self, topic: str, payload: bytes, retained: bool, qos: int) -> None:
        if retained:
            self._ear.hear(topic, payload, retained, qos)


async def _publish(mqtt: Mqtt, topic: str, payload: bytes, *, retain: bool = False) -> None:
    await mqtt.publish([Message(topic, payload, retain=retain)])


def _command(name: str, datatype: int, value: Any) -> bytes:
    return wire.uint(1, _now_ms()) + metrics.named(name, datatype, _now_ms(), value)


def _state(online: bool, time_ms: int) -> bytes:
    return json.dumps({"online": online, "timestamp": time_ms}).encode()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# --- what is printed ----------------------------------------------------------------------


def _json(watch: Watch) -> str:
    return json.dumps(
        {
            "group": watch.names.group,
            "node": watch.names.node,
            "messages": watch.messages,
            "checks": [
                {
                    "check": check.number,
                    "what": check.what,
                    "ids": [f"tck-id-{name}" for name in check.ids],
                    "result": watch.results[check.number].status,
                    "seen": watch.results[check.number].seen,
                    "failures": watch.results[check.number].failures,
                    "examples": watch.results[check.number].examples,
                    "advice": watch.results[check.number].advice,
                }
                for check in CHECKS
            ],
        }
    )


def _text(watch: Watch) -> str:
    lines = [f"{watch.names.group}/{watch.names.node}: {watch.messages} messages, {watch.births} node births", ""]
    for check in CHECKS:
        result = watch.results[check.number]
        lines.append(f"{check.number:3}  {result.status:9} {check.what}")
        lines += [f"{'':15}{line}" for line in _reasons(result, check.ids)]
    count = {status: sum(r.status == status for r in watch.results.values()) for status in ("pass", "fail", "not seen")}
    return "\n".join([*lines, "", ", ".join(f"{n} {status}" for status, n in count.items())])


def _reasons(result: Result, ids: tuple[str, ...]) -> list[str]:
    reasons = [f"! {example}" for example in result.examples]
    if result.failures:
        reasons.append(f"{result.failures} of {result.seen}; " + ", ".join(f"tck-id-{name}" for name in ids))
    return reasons + ([f"advice: {result.advice}"] if result.advice else [])
