"""Where a Modbus device is, from its URL."""

import pytest

from connectors._modbus.endpoint import Endpoint, Serial, parse


@pytest.mark.parametrize(
    ("url", "endpoint", "unit"),
    [
        ("modbus://press", Endpoint("modbus", "press", 502), 1),
        ("modbus://192.168.0.7:5020?unit=255", Endpoint("modbus", "192.168.0.7", 5020), 255),
        ("modbus://[::1]:5020?unit=0", Endpoint("modbus", "::1", 5020), 0),
        ("modbus+tls://press", Endpoint("modbus+tls", "press", 802), 1),
        ("modbus+udp://press?unit=7", Endpoint("modbus+udp", "press", 502), 7),
        ("modbus+rtu://server:4001?unit=3", Endpoint("modbus+rtu", "server", 4001), 3),
        ("modbus+rtu:///dev/ttyUSB0", Endpoint("modbus+rtu", serial=Serial("/dev/ttyUSB0", 19_200, "E", 1)), 1),
        (
            "modbus+rtu:///dev/ttyS1?unit=9&baud=9600&parity=n",
            Endpoint("modbus+rtu", serial=Serial("/dev/ttyS1", 9600, "N", 2)),
            9,
        ),
        ("modbus+rtu:///COM3?parity=O&stop=2", Endpoint("modbus+rtu", serial=Serial("COM3", 19_200, "O", 2)), 1),
    ],
)
def test_a_url_names_endpoint_and_unit(url: str, endpoint: Endpoint, unit: int) -> None:
    assert parse(url) == (endpoint, unit)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("modbus://press?unit=256", "the unit must be 0..255"),
        ("modbus://press?unit=-1", "the unit must be 0..255"),
        ("modbus://press?unit=", "the unit must be 0..255"),
        ("modbus://press?unit=٣", "the unit must be 0..255"),
        ("modbus://press?slave=3", r"\?slave=, which nobody knows; known are unit"),
        ("modbus://press?baud=9600", r"\?baud=, which nobody knows"),
        ("modbus://", "names no host"),
        ("modbus://press..hall", "'press..hall' cannot be the name of a host"),
        ("modbus://" + 64 * "x", "cannot be the name of a host"),
        ("modbus+rtu://server", "needs the port of the device server"),
        ("modbus+rtu:///", "names no serial line"),
        ("modbus+rtu:///dev/ttyS0?parity=M", "parity=M: it must be N, E or O"),
        ("modbus+rtu:///dev/ttyS0?baud=fast", "baud=fast: the baud must be"),
        ("modbus+rtu:///dev/ttyS0?stop=3", "stop=3"),
    ],
)
def test_what_is_wrong_with_a_url_is_said(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(url)


@pytest.mark.parametrize(("baud", "gap_us"), [(9600, 4010), (19_200, 2005), (38_400, 1750), (115_200, 1750)])
def test_the_silence_between_frames_is_that_of_the_standard(baud: int, gap_us: float) -> None:
    assert Serial("x", baud).gap_s * 1e6 == pytest.approx(gap_us, abs=1)
