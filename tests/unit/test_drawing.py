"""The picture of the evidence: well-formed whatever comes, and nothing of it is markup."""

from typing import Any
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from api.drawing import drawn

NUMBERS = st.floats(-1e300, 1e300)
TEXTS = st.text(max_size=20) | st.just("<script>alert(1)</script>") | st.just("\x00\ud800]]>&\"'")
MOMENTS = st.integers(1, 3_000_000_000).map(lambda s: f"2026-01-05T{s // 3600 % 24:02}:{s // 60 % 60:02}:{s % 60:02}Z")
READINGS = st.lists(st.tuples(MOMENTS, NUMBERS), max_size=5)


def series(about: dict[str, Any], readings: list[tuple[str, float]]) -> dict[str, Any]:
    return about | {"timestamp": [at for at, _ in readings], "value": [value for _, value in readings]}


SERIES = st.builds(
    series,
    st.fixed_dictionaries(
        {
            "tag": TEXTS,
            "unit": TEXTS,
            "share": st.none() | st.floats(0, 1),
            "expected": st.none() | NUMBERS,
            "allowed": st.none() | NUMBERS,
        }
    ),
    READINGS,
)
LINES = st.fixed_dictionaries(
    {"hertz": st.floats(0, 1e4), "amplitude": NUMBERS, "harmonics": st.integers(0, 5), "sidebands": st.integers(0, 12)}
)
SPECTRA = st.fixed_dictionaries(
    {
        "signal": TEXTS,
        "tag": TEXTS,
        "timestamp": MOMENTS,
        "step": st.floats(1e-3, 100),
        "amplitude": st.lists(st.floats(0, 1e9), max_size=20),
        "lines": st.dictionaries(TEXTS, LINES, max_size=3),
    }
)
MACHINES = st.fixed_dictionaries(
    {
        "asset": TEXTS,
        "state": TEXTS,
        "health": st.none() | st.floats(0, 100),
        "since": st.none() | MOMENTS,
        "shares": st.dictionaries(TEXTS, st.floats(0, 1), max_size=3),
        "window": st.fixed_dictionaries({"start": MOMENTS, "end": MOMENTS, "series": st.lists(SERIES, max_size=3)}),
        "spectra": st.lists(SPECTRA, max_size=2),
    }
)
SVG = "{http://www.w3.org/2000/svg}"
PATH = "acme/dresden/utilities/pump1"
PUMP: dict[str, Any] = {
    "asset": PATH,
    "state": "alarm",
    "health": 17.2,
    "since": "2026-01-05T06:05:00Z",
    "shares": {"flow": 0.75, "noise": 0.25},
    "window": {
        "start": "2026-01-05T06:00:00.000000Z",
        "end": "2026-01-05T06:10:00.000000Z",
        "series": [
            {"tag": f"{PATH}/_maintenance/pump_health", "unit": "%", "share": None, "expected": None, "allowed": None,
             "timestamp": ["2026-01-05T06:00:00Z", "2026-01-05T06:05:00Z"], "value": [100.0, 20.0]},
            {"tag": f"{PATH}/flow", "unit": "m3/h", "share": 0.75, "expected": 40.0, "allowed": 2.0,
             "timestamp": ["2026-01-05T06:00:00Z", "2026-01-05T06:10:00Z"], "value": [40.0, 30.0]},
        ],
    },
    "spectra": [],
}  # fmt: skip


@settings(deadline=None)
@given(MACHINES)
def test_whatever_a_plant_says_is_a_picture_of_known_elements(machine: dict[str, Any]) -> None:
    root = ElementTree.fromstring(drawn(machine))
    kinds = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert kinds <= {"svg", "title", "desc", "rect", "g", "text", "path", "polyline"}
    for element in root.iter(f"{SVG}polyline"):
        places = [place.split(",") for place in element.attrib["points"].split()]
        assert all(0 <= float(x) <= 640 and 0 <= float(y) <= 96 for x, y in places)


def test_it_says_what_is_wrong_since_when_and_draws_what_was_and_what_should_have_been() -> None:
    root = ElementTree.fromstring(drawn(PUMP))
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert texts[:2] == [
        f"{PATH}: alarm, health 17 of 100",
        "since 2026-01-05T06:05:00Z: flow 75%, noise 25%",
    ]
    assert {"flow [m3/h], 75% of the cause", "expected 40", "since"} <= set(texts)
    health, flow = (element.attrib["points"].split() for element in root.iter(f"{SVG}polyline"))
    assert [place.split(",")[0] for place in health] == ["0.0", "320.0", "320.0", "640.0", "640.0"], "stairs, until now"
    assert [place.split(",")[0] for place in flow] == ["0.0", "640.0", "640.0"]
    lowest = 30 - 0.05 * 12
    assert float(flow[0].split(",")[1]) == round(96 * (42.6 - 40) / (42.6 - lowest), 1)
