"""`gateway demo` and `gateway bench`, as a newcomer meets them."""

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import orjson

from tests import servers
from tests.integration.process import command

BOTH = {
    "OPC UA": "packaging/line1/filler/temperature",
    "Modbus": "packaging/line1/energy/power/total",
    "waveform": "utilities/pump1/vibration/waveform",
    "signal": "utilities/pump1/_maintenance/bearing_kurtosis",
}


def test_the_demonstration_lives_within_seconds_and_ends_with_a_summary(tmp_path: Path) -> None:
    options = ["--json", "--duration", "25", "--data", str(tmp_path / "demo"), "--port", str(servers.free_port())]
    demo = subprocess.Popen(
        [sys.executable, "-m", "gateway", "demo", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert demo.stdout is not None
    ready = orjson.loads(demo.stdout.readline())
    assert (ready["ready"], ready["devices"], ready["tags"]) == (True, 9, 179)

    def good(path: str) -> bool:
        return bool(httpx.get(f"{ready['api']}/api/v1/values/{path}", timeout=10).json()["quality"] == "good")

    waiting, end = dict(BOTH), time.monotonic() + 15
    while waiting and time.monotonic() < end:
        waiting = {name: path for name, path in waiting.items() if not good(path)}
        time.sleep(0.1)
    assert not waiting
    while (order := ordered(ready["api"])).get("JobState") != "Running" and time.monotonic() < end:
        time.sleep(0.1)
    assert order["JobState"] == "Running", "the office has ordered what the filler makes"
    assert "<title>" in httpx.get(ready["api"] + "/", timeout=10).text
    port = ready["mqtt"].rpartition(":")[2]
    for path in (BOTH["OPC UA"], BOTH["Modbus"]):
        words = [servers.needs("mosquitto_sub"), "-p", port, "-t", f"uns/acme/dresden/{path}", "-C", "1", "-W", "10"]
        seen = subprocess.run(words, capture_output=True, check=True).stdout
        assert orjson.loads(seen)["quality"] == "good"
    _, summary = demo.communicate(timeout=60)
    assert demo.returncode == 0, summary
    assert re.search(r"filler +\d+ +1 +up", summary)
    assert re.search(r"\d+ records in the journal, 0 lost; \d+ messages published", summary)


def ordered(api: str) -> dict[str, Any]:
    """The response to the order that the filler works on."""
    filler = next(unit for unit in httpx.get(f"{api}/api/v1/units", timeout=10).json() if unit["name"] == "filler")
    return dict((filler["order"] or {}).get("response", {}))


def test_the_bench_measures_every_stage_and_loses_nothing() -> None:
    ended = command("bench", "all", "--devices", "2", "--values", "20", "--seconds", "0.5", "--json")
    assert ended.returncode == 0, ended.stderr
    figures = orjson.loads(ended.stdout)
    assert [row["name"] for row in figures["stages"]] == [
        "raw socket loop", "acquire", "journal", "bus", "history", "signals",
    ]  # fmt: skip
    readers = [row["name"] for row in figures["modbus"]]
    assert readers[:2] == ["raw socket loop", "raw socket loop, pipelined"]
    assert readers[-4:] == [
        "pymodbus, one decode per tag", "pymodbus on the gateway's event loop",
        "connector, 1 in flight", "connector, pipelined",
    ]  # fmt: skip
    assert all(row["values"] > 0 and row["cpu_s"] > 0 for name in ("modbus", "stages") for row in figures[name])
    goals = {goal["name"]: goal["figure"] for goal in figures["goals"]}
    assert [*goals] == [
        "all stages, times acquisition alone", "decoded to subscriber, p50 ms", "decoded to subscriber, p99 ms",
    ]  # fmt: skip
    assert goals["all stages, times acquisition alone"] > 1
    paced, flat_out = figures["pipeline"]
    assert 0 < paced["decoded_p50_ms"] <= paced["p50_ms"]
    assert paced["missing"] == flat_out["missing"] == 0
    assert flat_out["rate"] > paced["rate"] > 0
