"""Runs `gateway` as a process of its own, the way people do, and asks it things."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx

PATIENCE_S = 30.0


class GatewayProcess:
    """One life of a gateway. `ready` is what it said when it was up."""

    def __init__(self, config: Path, *options: str) -> None:
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  # a pipe fills up
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "run", str(config), "--json", *options],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.communicate()
            raise AssertionError(self._said())
        self.ready: dict[str, Any] = json.loads(line)
        self.pid = self._process.pid

    def get(self, path: str, **params: str) -> Any:
        answer = httpx.get(self.ready["api"] + path, params=params, timeout=10)
        return answer.json()

    def until(self, true: Callable[[], bool]) -> None:
        """Ask again and again until something is true. Raises AssertionError when patience ends."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if true():
                return
            time.sleep(0.05)
        raise AssertionError("it did not become true")

    def metric(self, name: str, **labels: str) -> float:
        """Return a Prometheus metric; 0 if it is not there."""
        for line in httpx.get(self.ready["api"] + "/metrics", timeout=10).text.splitlines():
            if line.startswith(name + "{") and all(f'{key}="{value}"' in line for key, value in labels.items()):
                return float(line.rpartition(" ")[2])
        return 0.0

    def kill(self) -> str:
        """SIGKILL: nothing is said, nothing is written. Return what stood on stderr."""
        self._process.kill()
        self._process.communicate()
        return self._said()

    def stop(self) -> tuple[int, str]:
        """SIGTERM; return the exit code and what stood on stderr."""
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate(timeout=PATIENCE_S)
        return self._process.returncode, self._said()

    def _said(self) -> str:
        with self._errors:
            self._errors.seek(0)
            return self._errors.read()


@contextmanager
def running(config: Path, *options: str) -> Iterator[GatewayProcess]:
    """A gateway that is stopped at the end, and must end well."""
    gateway = GatewayProcess(config, *options)
    try:
        yield gateway
    except BaseException as error:
        error.add_note(gateway.kill())
        raise
    code, errors = gateway.stop()
    assert code == 0, errors


@asynccontextmanager
async def alive(config: Path, *options: str) -> AsyncIterator[GatewayProcess]:
    """The same for tests whose event loop has servers that the gateway needs, also while it starts and ends."""
    gateway = await asyncio.to_thread(GatewayProcess, config, *options)
    try:
        yield gateway
    except BaseException as error:
        error.add_note(gateway.kill())
        raise
    code, errors = await asyncio.to_thread(gateway.stop)
    assert code == 0, errors


def command(*words: str, environment: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a command of the gateway to its end."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **(environment or {})},
    )


def write(path: Path, config: dict[str, Any]) -> Path:
    """Write a configuration; JSON is YAML."""
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


def plant(
    folder: Path, ports: Sequence[int], *, bus: str | None, tags: int = 5, poll: str = "50ms", **more: Any
) -> dict[str, Any]:
    """Return a configuration of the bench's Modbus devices: a time stamp and a few values each."""
    from tests.servers import free_port

    names = {"stamp": {"register": "holding:0", "type": "int64"}}
    names |= {f"v{k}": {"register": f"holding:{4 + 2 * k}", "type": "float32"} for k in range(tags)}
    return {
        "site": {"enterprise": "acme", "site": "test"},
        "data_dir": str(folder / "data"),
        "bus": {"url": bus} if bus else {"listen": f"127.0.0.1:{free_port()}"},
        "api": {"listen": "127.0.0.1:0"},
        "devices": {
            f"device{i}": {
                "connect": f"modbus://127.0.0.1:{port}",
                "asset": f"hall/device{i}",
                "poll": poll,
                "timeout": "500ms",
                "tags": names,
            }
            for i, port in enumerate(ports)
        },
        **more,
    }
