"""Configuration as a change process: planned, applied, kept as a version, on trial, and rolled back if need be.

    text --check--> plan --> version on disk --> file --> switch --> trial --works again--> it stays
                     |                                                 `-----time is up---> the version before

A text comes from the API or from the file (SIGHUP, or watched). The file always says what runs: what comes from the
API is written to it, and so is what is rolled back to. On trial are the devices that worked before and were touched;
the last version that passed is the one that is returned to.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.audit import UNHEARD, Audit, Entry
from gateway.config import Config, ConfigError, Document, Finding
from gateway.config.change import Change, ConflictError, diff
from gateway.config.versions import Version, Versions, replaced
from gateway.contracts import Clock, Offload
from gateway.devices import Devices
from gateway.latest import Latest
from gateway.switch import Next, Switch

FILE: Final = "file"
"""The author of what comes from the file; no token can tell who edited it."""
GATEWAY: Final = "gateway"
_LOOK_S: Final = 0.25
_WATCH_S: Final = 1.0

log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a configuration comes from. `check` makes a Config of a text, or raises ConfigError."""

    path: Path
    check: Callable[[str], tuple[Config, Document]]
    watch: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """A version that has to prove itself: its devices must work again, by a time of the event loop [s].

    `devices` are versions of the latest table by name: what came before them does not count.
    """

    number: int
    devices: Mapping[str, int]
    until_s: float
    before: int


class Changes:
    """One at a time. `run` follows the file and judges trials; the others are for whoever asks."""

    def __init__(
        self,
        source: Source,
        config: Config,
        text: str,
        folder: Path,
        switch: Switch,
        devices: Devices,
        latest: Latest,
        offload: Offload,
        clock: Clock,
        audit: Audit = UNHEARD,
    ) -> None:
        self._audit = audit
        self.file = str(source.path)
        self.trial: Trial | None = None
        self.findings: Sequence[Finding] = ()
        self._source = source
        self._text = text
        self._prints = _prints(config)
        self._versions = Versions(folder)
        self._switch = switch
        self._devices = devices
        self._latest = latest
        self._offload = offload
        self._clock = clock
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        self._asked = False
        self._seen = self._stamp()
        self.counts = {"applied": 0, "rolled_back": 0, "refused": 0}
        self.number = self._versions.newest()
        with suppress(KeyError):
            if self._versions.text(self.number) == text:
                return
        self.number = self._keep(text, FILE, "found when the gateway started", Change()).number

    # --- what can be asked for --------------------------------------------------------------

    async def plan(self, text: str) -> Change:
        """Return what a text would change. Raises ConfigError."""
        return (await self._planned(text))[1].change

    async def apply(self, text: str, author: str, why: str = "", base: int | None = None) -> Version:
        """Make a text the configuration. Raises ConfigError, or OSError if it cannot be kept; nothing has changed then.

        `base` is the version that the text was made from. Raises ConflictError if that does not run any more, or if the
        file has been edited meanwhile.
        """
        async with self._turn:
            if base is not None and base != self.number:
                raise ConflictError(f"version {self.number} runs, not {base}: look at what was changed since")
            if self._read() != self._text:
                raise ConflictError(f"{self.file} was edited and not applied: apply it, or put it back")
            return await self._apply(text, author, why)

    async def rollback(self, number: int, author: str) -> Version:
        """Return to the text of a version, without a trial. Raises KeyError, and what apply does."""
        async with self._turn:
            return await self._apply(self._versions.text(number), author, f"rollback to version {number}", trial=False)

    async def versions(self) -> list[Version]:
        """Return the versions that are kept, newest first."""
        return await self._offload(self._versions.all)

    def version(self, number: int) -> tuple[Version, str]:
        """Return a version and its text. Raises KeyError."""
        return self._versions.get(number), self._versions.text(number)

    def reload(self) -> None:
        """Look at the file as soon as possible."""
        self._asked = True
        self._wake.set()

    async def run(self, up: Callable[[], None]) -> None:
        """Follow the file and judge trials, for ever."""
        up()
        while True:
            pause = _LOOK_S if self.trial else _WATCH_S if self._source.watch else None
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            self._wake.clear()
            if self._asked or (self._source.watch and self._stamp() != self._seen):
                self._asked, self._seen = False, self._stamp()
                await self._follow()
            if self.trial:
                await self._judge(self.trial)

    # --- inside ---------------------------------------------------------------------------

    async def _planned(self, text: str) -> tuple[Config, Next]:
        profiles = self._devices.profiles()
        return await self._offload(self._plan, text, self._text, profiles)

    def _plan(self, text: str, running: str, learned: Mapping[str, Mapping[str, Any]]) -> tuple[Config, Next]:
        config, document = self._source.check(text)
        before, _ = self._source.check(running)
        now = _prints(before)
        otherwise = [name for name, known in self._prints.items() if now.get(name) != known]
        return config, self._switch.plan(config, document, diff(before, config, otherwise), learned)

    async def _apply(self, text: str, author: str, why: str, *, trial: bool = True) -> Version:
        config, following = await self._planned(text)
        change = following.change
        if text == self._text and not change:
            return self._versions.get(self.number)
        version = await self._offload(self._keep, text, author, why, change)
        try:
            await self._write(text)
            worked = [name for name, device in self._devices.items() if self._switch.works(device)]
            await self._switch.turn(following, self._devices)
        except (OSError, ConfigError):
            self._versions.drop(version.number)
            with suppress(OSError, ConfigError):
                await self._write(self._text, instead_of=text)
            raise
        self._begin_trial(version, worked, change, config.changes.trial if trial else 0.0)
        self._text, self._prints = text, _prints(config)
        self.number, self.findings = version.number, ()
        self.counts["applied"] += 1
        summary = _summary(change)
        log.warning("configuration: version %d by %s is applied: %s", version.number, author, summary)
        told = f"{why}: {summary}" if why else summary
        self._audit.add(Entry("configure", f"version {version.number}", "done", who=author, detail=told))
        for key in change.restart:
            log.warning("configuration: %s takes effect at the next start", key)
        return version

    async def _write(self, text: str, instead_of: str = "") -> None:
        """Write the file, if it is what runs or what is named; what somebody has edited is left alone."""
        if self._read() in (self._text, instead_of):
            await self._offload(replaced, self._source.path, text)
            self._seen = self._stamp()

    def _begin_trial(self, version: Version, worked: Collection[str], change: Change, patience_s: float) -> None:
        """Put those on trial that worked and were touched, and those whose trial is not over."""
        touched = set(worked) & set(change.starts)
        devices = {**self._missing(), **dict.fromkeys(touched, self._latest.now)}
        before = self.trial.before if self.trial else self.number
        until_s = asyncio.get_running_loop().time() + patience_s
        wanted = patience_s > 0 and devices
        self.trial = Trial(version.number, devices, until_s, before) if wanted else None
        self._wake.set()

    async def _follow(self) -> None:
        """Apply what the file says now, if it is something else; what is wrong with it changes nothing."""
        async with self._turn:
            try:
                await self._apply(self._read(), FILE, "the file was edited")
            except ConfigError as error:
                self._refused(error)

    def _refused(self, error: ConfigError) -> None:
        self.findings = error.findings
        self.counts["refused"] += 1
        detail = f"{len(error.findings)} findings, the first: {error.findings[0]}"
        self._audit.often(Entry("configure", self.file, "refused", who=FILE, detail=detail))
        for finding in error.findings:
            log.error("configuration: nothing is changed: %s", finding)

    async def _judge(self, trial: Trial) -> None:
        """End a trial that is passed; roll back one whose time is up."""
        missing = self._missing()
        if not missing:
            self.trial = None
        elif asyncio.get_running_loop().time() >= trial.until_s:
            async with self._turn:
                if self.trial is trial:
                    await self._give_up(trial, ", ".join(sorted(missing)))

    def _missing(self) -> dict[str, int]:
        """Those on trial that do not work yet."""
        on_trial = self.trial.devices if self.trial else {}
        there = {name: since for name, since in on_trial.items() if name in self._devices}
        return {name: since for name, since in there.items() if not self._switch.works(self._devices[name], since)}

    async def _give_up(self, trial: Trial, missing: str) -> None:
        log.warning("configuration: version %d is rolled back: %s did not work again", trial.number, missing)
        why = f"rollback to version {trial.before}: {missing} did not work again"
        try:
            await self._apply(self._versions.text(trial.before), GATEWAY, why, trial=False)
        except (ConfigError, KeyError) as error:
            self.trial = None
            log.error("configuration: version %d cannot be rolled back to: %s", trial.before, error)
        self.counts["rolled_back"] += 1

    def _keep(self, text: str, author: str, why: str, change: Change) -> Version:
        now_ns = self._clock.now_ns()
        return self._versions.add(text, time_ns=now_ns, author=author, why=why, change=change.described())

    def _read(self) -> str:
        try:
            return self._source.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError([Finding(self.file, 1, f"cannot be read: {error}")]) from error

    def _stamp(self) -> tuple[int, int]:
        """What is another one when the file has been written."""
        with suppress(OSError):
            found = self._source.path.stat()
            return found.st_mtime_ns, found.st_size
        return 0, 0


def _prints(config: Config) -> dict[str, int]:
    prints: Callable[[], dict[str, int]] = getattr(config.devices, "prints", dict)
    return prints()


def _summary(change: Change) -> str:
    return "; ".join([*map(str, change.devices[:3]), f"{len(change.untouched)} connections are not touched"])
