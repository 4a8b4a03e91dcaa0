"""Ports: whether one is free, and one that is."""

import socket


class PortTaken(OSError):
    """The port is in use by another program."""


def claim(host: str, port: int, *, or_any: bool) -> int:
    """Return the port if it is free; if it is not, any free one if that will do, or else raise PortTaken."""
    if _is_free(host, port):
        return port
    if not or_any:
        raise PortTaken(
            f"{host}:{port} is in use by another program; stop it, change the port in the plant file, "
            "or start with --free-ports"
        )
    with _probe() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _is_free(host: str, port: int) -> bool:
    with _probe() as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _probe() -> socket.socket:
    """Return a socket that cannot be bound where somebody listens, on any system."""
    probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)  # Windows; there REUSEADDR would share the port
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR if exclusive is None else exclusive, 1)
    return probe
