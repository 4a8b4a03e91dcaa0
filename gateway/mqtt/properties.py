"""Properties and reason codes: what MQTT 5 has and 3.1.1 has not. Pure.

Section numbers are those of the OASIS standard of 7 March 2019. A block of properties is its length and, one after the
other, identifier and value; each identifier has a type of its own (2.2.2.2). In 3.1.1 there is no block at all.
"""

import struct
from collections.abc import Mapping
from typing import Final

Properties = Mapping[int, int | str | bytes]

MESSAGE_EXPIRY: Final = 0x02
CONTENT_TYPE: Final = 0x03
RESPONSE_TOPIC: Final = 0x08
CORRELATION_DATA: Final = 0x09
SERVER_KEEP_ALIVE: Final = 0x13
REASON_STRING: Final = 0x1F
RECEIVE_MAXIMUM: Final = 0x21
MAXIMUM_QOS: Final = 0x24
RETAIN_AVAILABLE: Final = 0x25
MAXIMUM_PACKET_SIZE: Final = 0x27
_USER_PROPERTY: Final = 0x26
_SUBSCRIPTION_IDENTIFIER: Final = 0x0B

NONE: Final = b"\x00"
"""A block without properties."""

_INTEGERS: Final = {
    struct.Struct(">B"): (0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A),
    struct.Struct(">H"): (0x13, 0x21, 0x22, 0x23),
    struct.Struct(">I"): (0x02, 0x11, 0x18, 0x27),
}
_INTEGER: Final = {identifier: form for form, identifiers in _INTEGERS.items() for identifier in identifiers}
_TEXT: Final = frozenset((0x03, 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F))
_BINARY: Final = frozenset((0x09, 0x16))
_SHORT: Final = struct.Struct(">H")

FAILURE: Final = 0x80
"""Reason codes from here on are failures (2.4)."""
VERSION_REFUSED: Final = (0x01, 0x84)
"""What a broker answers that does not speak MQTT 5: one that knows it, and one of the time before (3.1.1, 3.2.2.3)."""

_REASONS: Final = {
    0x80: "it gives no reason",
    0x81: "it finds our packet malformed",
    0x82: "it finds an error of protocol",
    0x83: "its own reasons",
    0x84: "it does not speak MQTT 5",
    0x85: "it does not accept our client id",
    0x86: "wrong user or password",
    0x87: "not authorized",
    0x88: "it is not available",
    0x89: "it is busy",
    0x8A: "we are banned",
    0x8B: "it is shutting down",
    0x8C: "bad authentication method",
    0x8D: "keep alive timeout",
    0x8E: "another client took over our client id",
    0x8F: "it does not accept the topic filter",
    0x90: "it does not accept the topic",
    0x91: "the packet identifier is in use",
    0x93: "more messages in flight than it takes",
    0x94: "bad topic alias",
    0x95: "the packet is too large",
    0x96: "too many messages",
    0x97: "a quota is exceeded",
    0x98: "an administrator ended it",
    0x99: "it does not accept the format of the payload",
    0x9A: "it retains no messages",
    0x9B: "it does not take QoS 1",
    0x9C: "use another broker for now",
    0x9D: "the broker has moved",
    0x9F: "too many connections in a short time",
    0xA0: "the longest time to be connected is over",
}
"""In words (2.4)."""


def reason(code: int, properties: Properties) -> str:
    """Return why a broker refuses something, in its own words too if it says any."""
    words = _REASONS.get(code, f"code {code}")
    said = properties.get(REASON_STRING)
    return f"{words} ({said!r})" if said else words


def encode(properties: Properties) -> bytes:
    """Return a block of properties, of less than 16 KB."""
    body = bytearray()
    for identifier, value in properties.items():
        body.append(identifier)
        if isinstance(value, int):
            body += _INTEGER[identifier].pack(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            body += _SHORT.pack(len(data)) + data
    return _block(body)


def users(pairs: Mapping[str, str]) -> bytes:
    """Return a block of user properties (3.3.2.3.7), of less than 16 KB."""
    body = bytearray()
    for pair in pairs.items():
        body.append(_USER_PROPERTY)
        for text in pair:
            data = text.encode()
            body += _SHORT.pack(len(data)) + data
    return _block(body)


def _block(body: bytearray) -> bytes:
    n = len(body)
    return (bytes((n,)) if n < 0x80 else bytes((n & 0x7F | 0x80, n >> 7))) + body


def split(data: bytes) -> tuple[Properties, bytes]:
    """Return the block of properties with which bytes begin, and what follows it.

    User properties and subscription identifiers are left out. Raises ValueError if it is malformed.
    """
    length, at = _variable(data, 0)
    end = at + length
    found: dict[int, int | str | bytes] = {}
    try:
        while at < end:
            identifier = data[at]
            value, at = _value(identifier, data, at + 1)
            if value is not None:
                found[identifier] = value
    except (struct.error, IndexError) as error:
        raise ValueError("properties end in the middle of one") from error
    if at != end or end > len(data):
        raise ValueError("properties are longer than their block")
    return found, data[end:]


def _value(identifier: int, data: bytes, at: int) -> tuple[int | str | bytes | None, int]:
    """The value that begins here, and where it ends; None for one that nobody needs."""
    if (form := _INTEGER.get(identifier)) is not None:
        return form.unpack_from(data, at)[0], at + form.size
    if identifier in _TEXT:
        text, at = _binary(data, at)
        return text.decode(), at
    if identifier in _BINARY:
        return _binary(data, at)
    if identifier == _USER_PROPERTY:
        _, at = _binary(data, at)
        return None, _binary(data, at)[1]
    if identifier == _SUBSCRIPTION_IDENTIFIER:
        return None, _variable(data, at)[1]
    raise ValueError(f"there is no property {identifier:#x}")


def _binary(data: bytes, at: int) -> tuple[bytes, int]:
    (n,) = _SHORT.unpack_from(data, at)
    start = at + _SHORT.size
    if start + n > len(data):
        raise ValueError("properties end in the middle of one")
    return data[start : start + n], start + n


def _variable(data: bytes, at: int) -> tuple[int, int]:
    """A variable byte integer (1.5.5), and where it ends."""
    value = 0
    for i, digit in enumerate(data[at : at + 4]):
        value |= (digit & 0x7F) << 7 * i
        if digit <= 0x7F:
            return value, at + i + 1
    raise ValueError("a variable byte integer has no end")
