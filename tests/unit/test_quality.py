"""Quality: the codes of OPC 10000-6 annex A, and the words for them."""

import numpy as np
import pytest

from gateway.model import Quality
from gateway.model.quality import bad, good, name, severity


@pytest.mark.parametrize(
    ("quality", "code", "text"),
    [
        (Quality.GOOD, 0x0000_0000, "Good"),
        (Quality.BAD_NOT_CONNECTED, 0x808A_0000, "BadNotConnected"),
        (Quality.BAD_TIMEOUT, 0x800A_0000, "BadTimeout"),
        (Quality.BAD_DEVICE_FAILURE, 0x808B_0000, "BadDeviceFailure"),
        (Quality.BAD_INTERNAL_ERROR, 0x8002_0000, "BadInternalError"),
        (Quality.BAD_WAITING_FOR_INITIAL_DATA, 0x8032_0000, "BadWaitingForInitialData"),
        (
            Quality.UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE,
            0x408F_0000,
            "UncertainNoCommunicationLastUsableValue",
        ),
    ],
)
def test_codes_and_names_are_those_of_the_standard(quality: Quality, code: int, text: str) -> None:
    assert (int(quality), name(code)) == (code, text)


def test_the_lower_half_of_a_code_does_not_change_its_name() -> None:
    assert name(0x800A_0C00) == "BadTimeout"


def test_a_code_that_is_not_ours_is_told_in_hexadecimal() -> None:
    assert name(0x8123_0000) == "0x81230000"


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (0x0000_0000, "good"), (0x3FFF_FFFF, "good"), (0x4000_0000, "uncertain"), (0x7FFF_FFFF, "uncertain"),
        (0x8000_0000, "bad"), (0xC000_0000, "bad"), (0xFFFF_FFFF, "bad"),
    ],
)  # fmt: skip
def test_severity_is_the_two_highest_bits(code: int, word: str) -> None:
    column = np.array([code], np.uint32)
    assert (severity(code), bool(good(column)[0]), bool(bad(column)[0])) == (word, word == "good", word == "bad")
