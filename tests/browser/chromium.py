"""Headless Chromium, driven by the DevTools protocol over a pipe: no driver program, no WebSocket, no download.

Knows nothing of the page that is looked at. What the browser says is taken whenever somebody waits for something, so
there is no task in the background.
"""

import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.servers import needs

PATIENCE_S: Final = 20.0
_MESSAGE_MAX: Final = 64 << 20
_FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)
# Chromium reads commands from descriptor 3 and writes what it has to say to 4.
_LAUNCH: Final = "import os, sys; r, w, *c = sys.argv[1:]; os.dup2(int(r), 3); os.dup2(int(w), 4); os.execv(c[0], c)"
_UNTIL: Final = """new Promise((done) => {
  const look = () => { const found = (%s); if (found) done(found); else requestAnimationFrame(look); };
  look();
})"""


class PageError(AssertionError):
    """The page did not do what was asked of it."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the page asked for."""

    url: str
    headers: Mapping[str, str]


class Page:
    """A tab. `complaints` are errors and warnings of its console and its scripts, `requests` what it asked for."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.WriteTransport) -> None:
        self.complaints: list[str] = []
        self.requests: list[Request] = []
        self._reader = reader
        self._writer = writer
        self._commands = 0
        self._session: dict[str, str] = {}

    async def open(self, url: str) -> None:
        """Go to an address; return when its document and its modules have been loaded."""
        await self._command("Page.navigate", url=url)
        async with asyncio.timeout(PATIENCE_S):
            while (await self._heard()).get("method") != "Page.loadEventFired":
                pass

    async def run(self, script: str) -> Any:
        """Evaluate an expression in the page, await it if it is a promise, and return its value. Raises PageError."""
        answer = await self._command(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            raise PageError(answer["exceptionDetails"]["exception"].get("description", script))
        return answer["result"].get("value")

    async def until(self, condition: str) -> Any:
        """Wait, frame by frame, until an expression is truthy; return its value. Raises PageError if it never is."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self.run(_UNTIL % condition)
        except TimeoutError:
            text = await self.run("document.body.innerText")
            raise PageError(f"never true: {condition}; complaints: {self.complaints}; the page says:\n{text}") from None

    async def press(self, key: str) -> None:
        """Press a key and let it go, where the focus is."""
        for kind in ("rawKeyDown", "keyUp"):
            await self._command("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    async def point(self, x: float, y: float) -> None:
        """Move the mouse to a place of the window."""
        await self._command("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    async def resize(self, width: int, height: int, *, scheme: str = "light") -> None:
        """Become a screen of this size whose owner prefers this colour scheme."""
        await self._command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        feature = {"name": "prefers-color-scheme", "value": scheme}
        await self._command("Emulation.setEmulatedMedia", features=[feature])

    async def screenshot(self) -> bytes:
        """Return what is seen, as PNG."""
        answer = await self._command("Page.captureScreenshot", format="png")
        return base64.b64decode(answer["data"])

    async def attach(self) -> None:
        """Open the tab and ask to be told what happens in it."""
        target = await self._command("Target.createTarget", url="about:blank")
        attached = await self._command("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Network", "Log"):
            await self._command(f"{domain}.enable")

    async def close(self) -> None:
        """Close the browser; return when it and all its processes are gone."""
        self._session = {}
        self._send("Browser.close", {})
        async with asyncio.timeout(PATIENCE_S):
            await self._reader.read(-1)

    async def _command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the protocol and return its result. Raises PageError."""
        number = self._send(method, parameters)
        while True:
            message = await self._heard()
            if message.get("id") == number:
                break
        if "error" in message:
            raise PageError(f"{method}: {message['error']['message']}")
        result: dict[str, Any] = message["result"]
        return result

    def _send(self, method: str, parameters: dict[str, Any]) -> int:
        self._commands += 1
        message = {"id": self._commands, "method": method, "params": parameters, **self._session}
        self._writer.write(json.dumps(message).encode() + b"\0")
        return self._commands

    async def _heard(self) -> dict[str, Any]:
        """Return the next message, after taking note of it if it is an event."""
        message: dict[str, Any] = json.loads((await self._reader.readuntil(b"\0"))[:-1])
        if "method" in message:
            self._note(message["method"], message["params"])
        return message

    def _note(self, event: str, facts: dict[str, Any]) -> None:
        match event:
            case "Network.requestWillBeSent":
                self.requests.append(Request(facts["request"]["url"], facts["request"]["headers"]))
            case "Runtime.exceptionThrown":
                self.complaints.append(facts["exceptionDetails"]["exception"].get("description", str(facts)))
            case "Runtime.consoleAPICalled" if facts["type"] in ("error", "warning", "assert"):
                self.complaints.append(str([argument.get("value") for argument in facts["args"]]))
            case "Log.entryAdded" if facts["entry"]["level"] in ("error", "warning"):
                self.complaints.append(f"{facts['entry']['text']} {facts['entry'].get('url', '')}")
            case _:
                pass


@asynccontextmanager
async def chromium(folder: Path, width: int = 1440, height: int = 900) -> AsyncIterator[Page]:
    """Run a browser of its own with one tab; skip the test if there is none on this machine."""
    program = needs("chromium")
    their_commands, commands = os.pipe()
    answers, their_answers = os.pipe()
    assert min(their_commands, their_answers) > 4, "descriptors 3 and 4 are taken by the event loop long before"
    arguments = [program, *_FLAGS, f"--user-data-dir={folder}", f"--window-size={width},{height}"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _LAUNCH, str(their_commands), str(their_answers), *arguments),
        pass_fds=(their_commands, their_answers),
        stderr=asyncio.subprocess.DEVNULL,
    )
    os.close(their_commands)
    os.close(their_answers)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_MESSAGE_MAX)
    incoming, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(answers, "rb"))
    outgoing, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(commands, "wb"))
    page = Page(reader, outgoing)
    try:
        await page.attach()
        yield page
    finally:
        await page.close()
        outgoing.close()
        incoming.close()
        await process.wait()
