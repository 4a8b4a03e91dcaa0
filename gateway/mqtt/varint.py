"""Whole numbers of any size on the wire: seven bits per byte, the least first; a high bit says that another follows.

MQTT has them as the remaining length (3.1.1, 2.2.3), protobuf as varint. Pure.
"""


def varint(number: int) -> bytes:
    """Return a number of 0 or more."""
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)
