"""What people should know of a device that is up: which tags it cannot have, and how its clock goes.

Each is said once in the log; all that hold are in `learned["remarks"]`, which the API and `gateway check` show.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from asyncua import ua

from gateway.contracts import Device

_SHOWN: Final = 3
"""Tags that are named in a remark; a wrong namespace may make thousands bad."""
_SKEW_S: Final = 10.0
"""So far may a clock be off without a remark."""
_CODE: Final = 0xFFFF_0000
_REMEDIES: Final[Mapping[int, str]] = {
    ua.StatusCodes.BadNodeIdUnknown: "compare node and namespace URI with what gateway discover prints of this server",
    ua.StatusCodes.BadNodeIdInvalid: "compare node and namespace URI with what gateway discover prints of this server",
    ua.StatusCodes.BadAttributeIdInvalid: "this node is no variable: take one below it, see gateway discover",
    ua.StatusCodes.BadNotReadable: "let this user read the node, in the server",
    ua.StatusCodes.BadUserAccessDenied: "let this user read the node, in the server",
    ua.StatusCodes.BadTooManyMonitoredItems: "the server watches no more nodes: raise its limit, or take tags out",
}
_HISTORIZE: Final = "let the server keep a history of them that this user may read, or write history: off"
_OTHER: Final = "look into the manual or the log of the server; it is tried again"

log = logging.getLogger(__name__)


class Remarks:
    """The remarks on one device, by subject; `learned` is that of its connector."""

    def __init__(self, device: Device, learned: dict[str, Any]) -> None:
        self._name = device.name
        numbers = device.numbers.tolist()
        self._tags = dict(zip(numbers, zip(device.tags, device.tag_options, strict=True), strict=True))
        self._learned = learned
        self._said: dict[str, Sequence[str]] = {}

    def refused(self, codes: Mapping[int, int]) -> None:
        """Say which tags the server cannot have, by number, and with which StatusCodes it said so."""
        reasons: dict[int, list[int]] = {}
        for number, code in sorted(codes.items()):
            reasons.setdefault(code & _CODE, []).append(number)
        self._say("nodes", [self._refusal(code, numbers) for code, numbers in reasons.items()])

    def rangeless(self, numbers: Collection[int]) -> None:
        """Say which tags have a deadband in percent of a range that nobody knows."""
        text = (
            f"{self._shown(sorted(numbers))}: deadband_percent of an unknown range, so all changes are told:"
            " the node has no EURange: give the tag a range: [low, high], or the node an EURange, in the server"
        )
        self._say("deadbands", [text] if numbers else [])

    def history(self, numbers: Sequence[int], why: str) -> None:
        """Say that what was missed of these tags is not to be had, until the next start: it will be missed again."""
        text = f"what was missed cannot be read from its history: {why}: {_HISTORIZE}"
        self._say("history", [f"{self._shown(numbers)}: {text}"])

    def unhistorized(self, numbers: Sequence[int]) -> None:
        """Keep in mind that what will be missed of these tags is lost; the log has it once something is missed."""
        if numbers and self._said.get("history"):
            return
        text = "what is missed while the line is down is lost, for the server keeps no history that this user may read"
        self._said["history"] = [f"{self._shown(numbers)}: {text}: {_HISTORIZE}"] if numbers else []
        self._tell()

    def clock(self, ahead_s: float) -> None:
        """Say that the clock of the server is wrong, or ours."""
        way = "ahead of" if ahead_s > 0 else "behind"
        text = (
            f"its clock is {abs(ahead_s):.0f} s {way} ours, and its readings have its times: set both clocks,"
            " best by NTP, and look at the time zone"
        )
        self._say("clock", [text] if abs(ahead_s) > _SKEW_S else [])

    def _refusal(self, code: int, numbers: Sequence[int]) -> str:
        return f"{self._shown(numbers)}: {ua.StatusCode(ua.UInt32(code)).name}: {remedy(code)}"

    def _shown(self, numbers: Sequence[int]) -> str:
        shown = ", ".join(f"{tag.name} ({keys.monitored})" for tag, keys in (self._tags[n] for n in numbers[:_SHOWN]))
        return f"{shown} and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else shown

    def _say(self, subject: str, texts: Sequence[str]) -> None:
        before = self._said.get(subject, ())
        for text in texts:
            if _essence(text) not in map(_essence, before):
                log.warning("device %s: %s", self._name, text)
        if before and not texts:
            log.warning("device %s: no more trouble with its %s", self._name, subject)
        self._said[subject] = texts
        self._tell()

    def _tell(self) -> None:
        self._learned["remarks"] = [text for texts in self._said.values() for text in texts]


def remedy(code: int) -> str:
    """What to do about a node that the server refuses with this StatusCode."""
    return _REMEDIES.get(code & _CODE, _OTHER)


def _essence(text: str) -> str:
    """A remark without its numbers: a clock that drifts is no news."""
    return "".join(character for character in text if not character.isdigit())
