"""The session with one server: taken up again after a lost connection, closed by who leaves by himself.

asyncua has the channel and the session. Reconnecting is the supervisor's business, so asyncua's own is off.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from asyncua import Client, ua

from connectors._opcua import security
from connectors._opcua.calls import values
from connectors._opcua.endpoints import new_client
from connectors._opcua.options import DeviceOptions
from connectors._pace import heed_cancel
from gateway.contracts import Clock, Device

_TIMES: Final = [
    ua.NodeId(ua.Int32(ua.ObjectIds.Server_ServerStatus_StartTime)),
    ua.NodeId(ua.Int32(ua.ObjectIds.Server_ServerStatus_CurrentTime)),
]
WHERE: Final = "check address and port in connect, whether the server runs, and the firewalls on the way"
_YEAR_0: Final = 1601
"""Of OPC UA; what a server says that does not know the time."""
_LOST: Final = {
    ua.StatusCodes.BadConnectionClosed,
    ua.StatusCodes.BadSecureChannelClosed,
    ua.StatusCodes.BadSecureChannelIdInvalid,
    ua.StatusCodes.BadSecureChannelTokenUnknown,
    ua.StatusCodes.BadSessionClosed,
    ua.StatusCodes.BadSessionIdInvalid,
    ua.StatusCodes.BadSessionNotActivated,
}
"""The connection is gone, the subscriptions may be there: they can be had by another one (OPC 10000-4, 6.7)."""


class Session:
    """At most one, over any number of connections.

    `client` is there as long as the session may still be. `reused` is whether the session is that of the last
    connection, whose subscriptions then go on. `restarted` is whether the server is another one than then: what it
    calls by the same number as the last one did may belong to somebody else. `ahead_s` is how far its clock is ahead of
    ours, negative if it is behind, 0 if it does not say. `connected` is whether the session has a connection now.
    """

    def __init__(self, device: Device, clock: Clock) -> None:
        security.check(device.url, device.options.security)
        self._url = device.url
        self.address = f"opc.tcp://{urlsplit(device.url).netloc.rpartition('@')[2]}"
        self._folder = device.folder
        self._options: DeviceOptions = device.options
        self._clock = clock
        self._started: datetime | None = None
        self.client: Client | None = None
        self.reused = False
        self.restarted = True
        self.ahead_s = 0.0
        self.connected = False

    @property
    def present(self) -> Client:
        """The client. Raises ConnectionError if there is none."""
        if self.client is None:
            raise ConnectionError("not connected")
        return self.client

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[Client]:
        """A connected client. Who leaves by himself closes the session; one that is lost is kept for the next time."""
        client = self.client = self.client or new_client(self._url, self._options.timeout)
        try:
            await self._connect(client)
            heed_cancel()
            self.connected = True
            yield client
        except OSError as error:  # TimeoutError is one
            await client._teardown_transport_only()
            if not str(error):  # asyncua's, for a request
                raise TimeoutError(f"no answer within {self._options.timeout:g} s") from error
            raise
        except ua.UaStatusCodeError as error:
            if error.code not in _LOST:
                await self._leave(client)
                raise
            await client._teardown_transport_only()
            raise ConnectionError(f"the server says {ua.StatusCode(error.code).name}") from error
        except BaseException:
            await self._leave(client)
            raise
        finally:
            self.connected = False

    async def _connect(self, client: Client) -> None:
        """Open a channel and take the session up again, or create one."""
        timeout_s, options = self._options.timeout, self._options.security
        try:
            async with asyncio.timeout(2 * timeout_s):
                await security.prepare(client, self._url, options, self._folder, self._clock)
                async with security.explained(client, self._url, options, self._folder):
                    self.reused = await client._try_reactivate_existing_session()
                started, current = await _times(client)
        except TimeoutError:
            raise TimeoutError(f"no answer within {timeout_s:g} s: {WHERE}") from None
        except ConnectionRefusedError as error:
            raise ConnectionRefusedError(f"{error}: {WHERE}") from error
        except ConnectionError as error:
            raise ConnectionError(
                f"{error}: the server hangs up on who asks for a session: check that it is OPC UA what answers at this"
                " port, and that the server has room for one more session"
            ) from error
        self.restarted = started is None or started != self._started
        self._started = started
        if current is not None:
            self.ahead_s = current.replace(tzinfo=UTC).timestamp() - self._clock.now_ns() / 1e9
        if self.reused and self.restarted:
            self.client = None  # the number of our session is that of somebody else now, so it is not closed
            raise ConnectionError("the server was started anew")

    async def _leave(self, client: Client) -> None:
        """Close the session; whatever the server says, the socket is closed."""
        self.client = None
        with suppress(TimeoutError):
            async with asyncio.timeout(self._options.timeout):
                await client.disconnect()
        client.disconnect_socket()


async def _times(client: Client) -> list[datetime | None]:
    """When the server was started, and what time it is there; None for what it does not say."""
    times = await values(client, _TIMES)
    return [time if isinstance(time, datetime) and time.year > _YEAR_0 else None for time in times]
