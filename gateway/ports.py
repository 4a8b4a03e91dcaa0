"""TCP ports of this machine: take one, find a free one, wait for one. Knows nothing of who wants them."""

import asyncio
import contextlib
import socket
import sys


def address(listen: str) -> tuple[str, int]:
    """Return host and port of `127.0.0.1:8080` or `[::1]:8080`."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


def listener(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 is any free one. Raises OSError naming the port if it is taken."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise OSError(f"{host}:{port} cannot be listened on: {error.strerror}; choose another port") from error


def free(wanted: int = 0, host: str = "127.0.0.1") -> int:
    """Return the port that is wanted, or any free one if something listens there."""
    with contextlib.suppress(OSError), listener(host, wanted) as probe:
        return _port(probe)
    with listener(host, 0) as probe:
        return _port(probe)


async def until_free(host: str, port: int, patience_s: float = 3.0) -> None:
    """Return when nothing listens on a port. Raises OSError naming it if something still does after a while.

    A process whose parent was killed needs a moment to end.
    """
    until = asyncio.get_running_loop().time() + patience_s
    while True:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            if sys.platform != "win32":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                return
            except OSError as error:
                if asyncio.get_running_loop().time() > until:
                    raise OSError(
                        f"{host}:{port} is in use: stop what listens there, or choose another port"
                    ) from error
        await asyncio.sleep(0.05)


def _port(listening: socket.socket) -> int:
    port: int = listening.getsockname()[1]
    return port
