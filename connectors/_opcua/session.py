"""The session with one server: taken up again after a lost connection, closed by who leaves by himself.

asyncua has the channel and the session. Reconnecting is the supervisor's business, so asyncua's own is off.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from asyncua import Client

from connectors._opcua import security
from connectors._opcua.endpoints import new_client
from connectors._opcua.options import DeviceOptions
from connectors._pace import heed_cancel
from gateway.contracts import Clock, Device


class Session:
    """At most one, over any number of connections.

    `client` is there as long as the session may still be. `reused` is whether the session is that of the last
    connection, whose subscriptions then go on.
    """

    def __init__(self, device: Device, clock: Clock) -> None:
        security.check(device.url, device.options.security)
        self._url = device.url
        self._folder = device.folder
        self._options: DeviceOptions = device.options
        self._clock = clock
        self.client: Client | None = None
        self.reused = False

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[Client]:
        """A connected client. Who leaves by himself closes the session; one that is lost is kept for the next time."""
        client = self.client = self.client or new_client(self._url, self._options.timeout)
        try:
            await self._connect(client)
            heed_cancel()
            yield client
        except OSError:  # TimeoutError is one
            await client._teardown_transport_only()
            raise
        except BaseException:
            await self._leave(client)
            raise

    async def _connect(self, client: Client) -> None:
        """Open a channel and take the session up again, or create one."""
        timeout_s, options = self._options.timeout, self._options.security
        try:
            async with asyncio.timeout(2 * timeout_s):
                await security.prepare(client, self._url, options, self._folder, self._clock)
                async with security.explained(client, self._url, options, self._folder):
                    self.reused = await client._try_reactivate_existing_session()
        except TimeoutError:
            raise TimeoutError(f"no answer within {timeout_s:g} s") from None

    async def _leave(self, client: Client) -> None:
        """Close the session; whatever the server says, the socket is closed."""
        self.client = None
        with suppress(TimeoutError):
            async with asyncio.timeout(self._options.timeout):
                await client.disconnect()
        client.disconnect_socket()
