"""OPC UA servers in processes of their own, two that have nothing in common, and a gateway's half to keep one."""

import asyncio
import json
import os
import random
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from gateway.clock import SystemClock
from gateway.contracts import Connector
from gateway.latest import Latest
from gateway.model import Batch
from gateway.model.quality import good
from gateway.supervise import Backoff, Health, keep_device
from tests.conformance.test_connectors import Heard
from tests.servers import free_port

Spaces = Mapping[str, Mapping[str, float]]
"""Values of variables by namespace URI and name, in the order in which the server registers the namespaces."""

_NODE: Final = Path(__file__).parent / "node_opcua"
BACKOFF: Final = Backoff(first_s=0.02, max_s=0.2)
"""Short, so that many restarts fit into a test; the doubling and the jitter are those of the gateway."""


def _asyncua(port: int) -> list[str]:
    return [sys.executable, "-m", "tests.opcua_program", f"opc.tcp://127.0.0.1:{port}"]


def _node_opcua(port: int) -> list[str]:
    node = shutil.which("node")
    if node is None or not (_NODE / "node_modules").is_dir():
        pytest.skip("node-opcua is not installed: npm ci --ignore-scripts in tests/node_opcua, as .ci/run does")
    return [node, str(_NODE / "server.js"), str(port)]


KINDS: Final = {"asyncua": _asyncua, "node-opcua": _node_opcua}


class Program:
    """A server that can be started, killed and paused. What it can be told is in tests/opcua_program.py."""

    def __init__(self, kind: str) -> None:
        self.port = free_port()
        self._command = KINDS[kind](self.port)
        self._process: asyncio.subprocess.Process | None = None
        self._pid = 0

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}"

    async def prepare(self) -> None:
        """Have everything ready for a start but the start itself."""
        if self._process is None:
            pipe = asyncio.subprocess.PIPE
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
            )

    async def start(self, spaces: Spaces, **keys: Any) -> None:
        await self.prepare()
        self._pid = (await self.ask("start", spaces=spaces, **keys))["pid"]

    async def ask(self, what: str, **keys: Any) -> dict[str, Any]:
        """Tell the server to do something, and wait until it has."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, **keys}).encode() + b"\n")
        return await self._answer()

    async def _answer(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(20):
            answer: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return answer

    async def kill(self) -> None:
        """End the server at once. One whose process serves once is another process afterwards."""
        os.kill(self._pid, signal.SIGKILL)
        if self._process is not None and self._process.pid == self._pid:
            await self._process.wait()
            self._process = None
        else:
            await self._answer()

    def pause(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    async def end(self) -> None:
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def program(kind: str) -> AsyncIterator[Program]:
    one = Program(kind)
    try:
        yield one
    finally:
        await one.end()


class Kept:
    """A device under the supervisor, with a latest table, as the gateway has it. `heard` is all that it emitted."""

    def __init__(self, connector: Connector, heard: Heard) -> None:
        self.connector = connector
        self.heard = heard
        self.latest = Latest(len(heard.names))
        self.health = Health("device d")
        self.numbers = np.arange(len(heard.names), dtype=np.uint32)

    def emit(self, *batches: Batch) -> None:
        for batch in batches:
            self.latest.update(batch)
        self.heard(*batches)

    async def run(self, seed: int) -> None:
        await keep_device(
            self.connector, self.numbers, self.emit, self.latest, self.health,
            clock=SystemClock(), chance=random.Random(seed), backoff=BACKOFF,
        )  # fmt: skip

    def now(self) -> dict[str, Any]:
        """The latest value of each tag, or its status if it is not good."""
        found: dict[str, Any] = {}
        for batch in self.latest.read(self.numbers):
            columns = (batch.tag.tolist(), batch.value.tolist(), batch.quality.tolist())
            found |= {self.heard.names[tag]: q or value for tag, value, q in zip(*columns, strict=True)}
        return found

    async def until(self, true: Callable[[], bool]) -> None:
        await self.heard.until(true)

    def told(self, name: str) -> list[tuple[int, float]]:
        """Time and value of all good readings of a tag, in order of arrival."""
        number = self.heard.names.index(name)
        found = [batch.where((batch.tag == number) & good(batch.quality)) for batch in self.heard.batches]
        return [pair for b in found for pair in zip(b.time.tolist(), b.value.tolist(), strict=True)]


@asynccontextmanager
async def kept(connector: Connector, heard: Heard, seed: int = 1) -> AsyncIterator[Kept]:
    one = Kept(connector, heard)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(one.run(seed))
        yield one
        task.cancel()
