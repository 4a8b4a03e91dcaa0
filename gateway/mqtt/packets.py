"""Control packets of MQTT 3.1.1 and 5 as bytes, and back: what a client needs that publishes and subscribes. Pure.

Section numbers are those of the OASIS standard of 29 October 2014. A packet is a first byte with its type and flags,
the length of the rest in one to four bytes, and the rest. MQTT 5 has blocks of properties in it (properties.py), which
are handed in and out as bytes here: in 3.1.1 there are none, so they are empty. QoS 0 and 1.
"""

import struct
from typing import Final

from gateway.mqtt.varint import varint

CONNACK: Final = 0x20
PUBLISH: Final = 0x30
PUBACK: Final = 0x40
SUBACK: Final = 0x90
PINGRESP: Final = 0xD0
DISCONNECTED: Final = 0xE0
TYPE: Final = 0xF0
"""The bits of the first byte that are the type; the others are flags."""

PINGREQ: Final = b"\xc0\x00"
DISCONNECT: Final = b"\xe0\x00"
QOS: Final = 1
FAILURE: Final = 0x80
"""The return code of a SUBACK that refuses (3.9.3)."""

_CONNECT, _SUBSCRIBE = 0x10, 0x82
_RETAIN: Final = 0x01
_QOS_BITS: Final = 0x06
_CLEAN_SESSION, _WILL, _WILL_RETAIN, _PASSWORD, _USER = 0x02, 0x04, 0x20, 0x40, 0x80
LEVEL: Final = {"3.1.1": 4, "5": 5}
"""Protocol levels (3.1.2.2)."""
RETAIN_AS_PUBLISHED: Final = 0x08
"""Option of a subscription in MQTT 5 (3.8.3.1)."""
_SHORT: Final = struct.Struct(">H")
_ACK: Final = struct.Struct(">BBH")
_LENGTH_BYTES_MAX: Final = 4

REFUSED: Final = {
    1: "it does not speak MQTT 3.1.1",
    2: "it does not accept our client id",
    3: "it is not available",
    4: "wrong user or password",
    5: "not authorized",
}
"""Return codes of CONNACK, 3.2.2.3."""


def connect(
    client_id: str,
    keep_alive_s: int,
    *,
    user: str = "",
    password: str = "",
    will: tuple[str, bytes, bool] | None = None,
    level: int = LEVEL["3.1.1"],
    properties: bytes = b"",
) -> bytes:
    """Return CONNECT (3.1) with a clean session; a will is topic, payload and whether it is retained.

    `properties` are those of the connection; a will has the same.
    """
    flags, fields = _CLEAN_SESSION, [_text(client_id)]
    if will is not None:
        topic, payload, retain = will
        flags |= _WILL | QOS << 3 | (_WILL_RETAIN if retain else 0)
        fields += [properties, _text(topic), _binary(payload)]
    if user:
        flags |= _USER | _PASSWORD
        fields += [_text(user), _text(password)]
    head = _text("MQTT") + bytes((level, flags)) + _SHORT.pack(keep_alive_s) + properties
    return _packet(_CONNECT, head + b"".join(fields))


def publish_head(topic: str, payload_bytes: int, identifier: int, *, retain: bool, properties: bytes = b"") -> bytes:
    """Return PUBLISH (3.3) up to where the payload begins: with QoS 1, or with QoS 0 if the identifier is 0."""
    name = topic.encode()
    number = (_SHORT.pack(identifier) if identifier else b"") + properties
    return b"%c%b%b%b%b" % (
        PUBLISH | (QOS << 1 if identifier else 0) | (_RETAIN if retain else 0),
        varint(_SHORT.size + len(name) + len(number) + payload_bytes),
        _SHORT.pack(len(name)),
        name,
        number,
    )


def puback(identifier: int) -> bytes:
    """Return PUBACK (3.4)."""
    return _ACK.pack(PUBACK, 2, identifier)


def subscribe(identifier: int, *topics: str, options: int = QOS, properties: bytes = b"") -> bytes:
    """Return SUBSCRIBE (3.8) to topic filters."""
    filters = b"".join(_text(topic) + bytes((options,)) for topic in topics)
    return _packet(_SUBSCRIBE, _SHORT.pack(identifier) + properties + filters)


class Splitter:
    """Cuts a stream of bytes into packets."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take bytes; return first byte and body of every packet that is complete. Raises ValueError if it is none."""
        rest, packets, at = self._rest, [], 0
        rest += data
        while at + 2 <= len(rest):
            start, length = _body(rest, at + 1)
            if length < 0 or len(rest) < start + length:
                break
            packets.append((rest[at], bytes(rest[start : start + length])))
            at = start + length
        del rest[:at]
        return packets


def identifier(body: bytes, at: int = 0) -> int:
    """Return the packet identifier at a place of a body. Raises ValueError if the body is too short."""
    if len(body) < at + _SHORT.size:
        raise ValueError("packet is shorter than its identifier")
    (number,) = _SHORT.unpack_from(body, at)
    return int(number)


def code(body: bytes) -> int:
    """Return the return code of a CONNACK or SUBACK, its last byte. Raises ValueError if there is none."""
    if not body:
        raise ValueError("packet without its return code")
    return body[-1]


def published(first: int, body: bytes) -> tuple[str, bytes, bool, int]:
    """Return topic, payload, whether it was retained, and the identifier to acknowledge (0: none) of a PUBLISH.

    In MQTT 5 the payload begins with properties. Raises ValueError if it is malformed.
    """
    (name_bytes,) = _SHORT.unpack_from(body) if len(body) >= _SHORT.size else (len(body),)
    start = end = _SHORT.size + name_bytes
    number = 0
    if first & _QOS_BITS:
        number, start = identifier(body, end), end + _SHORT.size
    if len(body) < start:
        raise ValueError("PUBLISH is shorter than its topic")
    return body[_SHORT.size : end].decode(), body[start:], bool(first & _RETAIN), number


def _packet(first: int, body: bytes) -> bytes:
    return bytes((first,)) + varint(len(body)) + body


def _body(stream: bytearray, at: int) -> tuple[int, int]:
    """Where the body begins whose remaining length stands here, and how long it is; -1 if that is not there yet."""
    length = 0
    for i, digit in enumerate(stream[at : at + _LENGTH_BYTES_MAX]):
        length |= (digit & 0x7F) << 7 * i
        if digit <= 0x7F:
            return at + i + 1, length
    if len(stream) >= at + _LENGTH_BYTES_MAX:
        raise ValueError("length of a packet has more than four bytes")
    return at, -1


def _text(text: str) -> bytes:
    return _binary(text.encode())


def _binary(data: bytes) -> bytes:
    return _SHORT.pack(len(data)) + data
