"""The metrics as scrapers see them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from tests.drive import Hall, Still, served
from tests.exposition import findings

OPENMETRICS = "application/openmetrics-text"
GOOD = """# HELP gateway_device_readings_total readings
# TYPE gateway_device_readings_total counter
gateway_device_readings_total{device="press"} 1.0
"""


def parsed(text: str) -> Iterator[Metric]:
    """The families of OpenMetrics; its parser is strict."""
    yield from openmetrics(text)  # type: ignore[no-untyped-call]  # it has no types


async def test_names_units_and_labels_are_as_the_standard_wants_them(tmp_path: Path) -> None:
    async with served(Hall(Still()), tmp_path, {}) as http:
        answer = await http.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert findings(answer.text) == []
    assert {"gateway_build_info", "gateway_streams", "python_info"} <= {family.name for family in plain(answer.text)}


@pytest.mark.parametrize(
    "accept",
    ["application/openmetrics-text; version=1.0.0,text/plain;version=0.0.4;q=0.5", "application/openmetrics-text"],
)
async def test_openmetrics_is_for_those_who_ask_for_it(tmp_path: Path, accept: str) -> None:
    async with served(Hall(Still()), tmp_path, {}) as http:
        answer = await http.get("/metrics", headers={"Accept": accept})
        text = (await http.get("/metrics")).text
    assert answer.headers["content-type"] == f"{OPENMETRICS}; version=1.0.0; charset=utf-8"
    families = {family.name for family in parsed(answer.text)}
    assert families >= {"gateway_build", "gateway_stream_readings_dropped"}
    assert len(families) == len(list(plain(text)))


@pytest.mark.parametrize("accept", ["*/*", "text/plain; version=x", "", "image/png", "\xff"])
async def test_whatever_else_is_accepted_gets_the_plain_text(tmp_path: Path, accept: str) -> None:
    async with served(Hall(Still()), tmp_path, {}) as http:
        answer = await http.get("/metrics", headers=[(b"accept", accept.encode("latin-1"))])
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/plain")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("# HELP", "# TELP", "no HELP"),
        ("readings_total", "readings", "counters end in _total"),
        ("counter", "gauge", "counters end in _total"),
        ("readings_total", "lag_ms_total", "no base unit"),
        ("gateway_device", "gateway:device", "no colons"),
        ("readings_total", "readings_counter_total", "its type is in its name"),
        ('device="press"', 'tag="press/speed"', "any number of values"),
        ("# TYPE", "# KIND", "no TYPE"),
        ("1.0", "1.0 1700000000000", "one with a time"),
        ("1.0", '1.0\ngateway_device_readings_total{device="press"} 2.0', "twice"),
    ],
)
def test_what_deviates_is_found(old: str, new: str, said: str) -> None:
    assert findings(GOOD) == []
    assert said in " ".join(findings(GOOD.replace(old, new)))
