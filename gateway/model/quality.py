"""Quality of a reading: an OPC UA StatusCode (OPC 10000-4, 7.39), one uint32 per reading.

Bits 31-30 are the severity (00 good, 01 uncertain, 10 bad), bits 27-16 the reason. Everything that can go
wrong outside the gateway is one of these codes; nothing here knows about devices, protocols or transports.
"""

from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

UNCERTAIN: Final = np.uint32(0x4000_0000)
BAD: Final = np.uint32(0x8000_0000)


class Quality(IntEnum):
    """The StatusCodes that this gateway gives by itself; codes of servers pass through unchanged."""

    GOOD = 0x0000_0000
    GOOD_CLAMPED = 0x0030_0000
    GOOD_NO_DATA = 0x00A5_0000
    UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE = 0x408F_0000
    UNCERTAIN_LAST_USABLE_VALUE = 0x4090_0000
    UNCERTAIN_SUB_NORMAL = 0x4095_0000
    BAD_UNEXPECTED_ERROR = 0x8001_0000
    BAD_INTERNAL_ERROR = 0x8002_0000
    BAD_ENCODING_ERROR = 0x8006_0000
    BAD_DECODING_ERROR = 0x8007_0000
    BAD_ENCODING_LIMITS_EXCEEDED = 0x8008_0000
    BAD_TIMEOUT = 0x800A_0000
    BAD_COMMUNICATION_ERROR = 0x8005_0000
    BAD_TOO_MANY_OPERATIONS = 0x8010_0000
    BAD_SECURITY_CHECKS_FAILED = 0x8013_0000
    BAD_USER_ACCESS_DENIED = 0x801F_0000
    BAD_NO_COMMUNICATION = 0x8031_0000
    BAD_WAITING_FOR_INITIAL_DATA = 0x8032_0000
    BAD_NODE_ID_INVALID = 0x8033_0000
    BAD_NODE_ID_UNKNOWN = 0x8034_0000
    BAD_ATTRIBUTE_ID_INVALID = 0x8035_0000
    BAD_NOT_READABLE = 0x803A_0000
    BAD_NOT_WRITABLE = 0x803B_0000
    BAD_OUT_OF_RANGE = 0x803C_0000
    BAD_NOT_SUPPORTED = 0x803D_0000
    BAD_TYPE_MISMATCH = 0x8074_0000
    BAD_REQUEST_TIMEOUT = 0x8085_0000
    BAD_CONFIGURATION_ERROR = 0x8089_0000
    BAD_NOT_CONNECTED = 0x808A_0000
    BAD_DEVICE_FAILURE = 0x808B_0000
    BAD_SENSOR_FAILURE = 0x808C_0000
    BAD_ENTRY_EXISTS = 0x809F_0000
    BAD_INVALID_ARGUMENT = 0x80AB_0000
    BAD_NO_DATA_AVAILABLE = 0x80B1_0000
    BAD_RESOURCE_UNAVAILABLE = 0x8004_0000


_CODE: Final = 0xFFFF_0000
_NAMES: Final = {member.value: "".join(part.capitalize() for part in member.name.split("_")) for member in Quality}


def good(quality: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Where a reading may be used without reservation. Shape (n,) in and out."""
    return quality < UNCERTAIN


def bad(quality: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Where a reading has no usable value. Shape (n,) in and out."""
    return quality >= BAD


def severity(code: int) -> str:
    """Return `good`, `uncertain` or `bad`, the words used on the bus and in the API."""
    return ("good", "uncertain", "bad", "bad")[code >> 30]


def name(code: int) -> str:
    """Return the standard's name of a code (`BadTimeout`), or its hexadecimal form if it is not one of ours."""
    return _NAMES.get(code & _CODE) or f"0x{code:08X}"
