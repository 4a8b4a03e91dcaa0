"""A production of Tryton is made by the machine and booked back: a real trytond, gateway and simulator between them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from examples.tryton.connector import Tryton
from tests.integration.process import PATIENCE_S, GatewayProcess, running, write
from tests.servers import free_port

ROOT: Final = Path(__file__).parents[2]
HERE: Final = ROOT / "examples" / "tryton"
BOTTLES: Final = 3_000
PASSWORD: Final = "a-Secret-of-the-office-1"
NODE: Final = "nsu=urn:acme:filler;s="


@pytest.fixture(name="office")
def an_office(tmp_path: Path) -> Iterator[str]:
    """A trytond server with the company that the example makes; its address."""
    programs = HERE / ".venv" / "bin"
    if not (programs / "trytond").exists():
        pytest.skip("Tryton is not installed: examples/tryton/README.md, as .ci/run does")
    (tmp_path / "erp.sqlite").touch()
    (tmp_path / "password").write_text(PASSWORD, encoding="utf-8")
    port = free_port()
    settings = tmp_path / "trytond.conf"
    settings.write_text(f"[database]\nuri = sqlite://\npath = {tmp_path}\n[web]\nlisten = 127.0.0.1:{port}\n", "utf-8")
    begin = [
        "-c",
        str(settings),
        "-d",
        "erp",
        "-u",
        "production",
        "--activate-dependencies",
        "--email",
        "erp@example.org",
    ]
    environment = {**os.environ, "TRYTONPASSFILE": str(tmp_path / "password")}
    subprocess.run([str(programs / "trytond-admin"), *begin], check=True, env=environment, stdin=subprocess.DEVNULL)
    subprocess.run([programs / "python", HERE / "company.py", settings, "erp", str(BOTTLES)], check=True)
    with serving(
        [str(programs / "trytond"), "-c", str(settings), "-d", "erp"],
        "Running on",
        tmp_path / "office.log",
        environment,
    ):
        yield f"http://127.0.0.1:{port}/erp"


@pytest.fixture(name="plant")
def a_plant(tmp_path: Path) -> Iterator[GatewayProcess]:
    """The filler of the simulated line, sixty times as fast as life, and a gateway that counts its bottles."""
    floor = tmp_path / "floor.yaml"
    floor.write_text("accelerate: 60\n", encoding="utf-8")
    with serving(
        [sys.executable, "-m", "simulators", str(floor), "--json", "--free-ports"], '"ready"', tmp_path / "floor.log"
    ) as line:
        server = json.loads(line)["servers"]["opc.tcp://127.0.0.1:4840"]
        tags = {
            "state": {"node": f"{NODE}Status.StateCurrent"},
            "produced": {"node": f"{NODE}Admin.ProdProcessedCount"},
            "scrap": {"node": f"{NODE}Admin.ProdDefectiveCount"},
        }
        keys = {
            "site": {"enterprise": "acme", "site": "test"},
            "data_dir": str(tmp_path / "data"),
            "bus": {"listen": f"127.0.0.1:{free_port()}"},
            "api": {"listen": "127.0.0.1:0"},
            "devices": {"filler": {"connect": server, "asset": "line1/filler", "tags": tags}},
            "production": {"units": {"filler": {"asset": "line1/filler", **{role: role for role in tags}}}},
        }
        with running(write(tmp_path / "plant.yaml", keys)) as gateway:
            yield gateway


@contextmanager
def serving(words: list[str], ready: str, said: Path, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run a program until the end; give the line in which it said that it is ready. A pipe would fill up."""
    with said.open("w", encoding="utf-8") as file:
        one = subprocess.Popen(words, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + PATIENCE_S
        while not (lines := [line for line in said.read_text(encoding="utf-8").splitlines() if ready in line]):
            assert one.poll() is None, said.read_text(encoding="utf-8")
            assert time.monotonic() < end, f"{words} is not ready"
            time.sleep(0.05)
        yield lines[0]
    finally:
        one.kill()
        one.wait()


@contextmanager
def connector(office: str, plant: GatewayProcess, said: Path) -> Iterator[None]:
    """Run the connector, and kill it."""
    words = [sys.executable, str(HERE / "connector.py"), "--tryton", office, "--gateway", plant.ready["api"]]
    with said.open("a", encoding="utf-8") as file:
        one = subprocess.Popen(
            [*words, "--unit", "Production=filler", "--every", "0.1"],
            env={**os.environ, "TRYTON_PASSWORD": PASSWORD},
            stderr=file,
        )
        try:
            yield
        finally:
            one.kill()
            one.wait()


def test_a_production_is_made_and_booked_once_though_the_connector_is_killed(
    office: str, plant: GatewayProcess, tmp_path: Path
) -> None:
    tryton, said = Tryton(office, "admin", PASSWORD), tmp_path / "said"
    first = production(tryton, "1")["id"]
    (second,) = tryton.call("model.production.copy", [first], {})
    tryton.call("model.production.wait", [second])

    def order(number: str) -> str:
        found = plant.get(f"/api/v1/orders/tryton-{number}")
        return str(found["JobResponse"]["JobState"]) if "JobResponse" in found else ""

    with connector(office, plant, said):
        plant.until(lambda: order("2") == "Waiting" and production(tryton, "1")["state"] in ("running", "done"))
    tryton.call("model.production.cancel", [second])
    with connector(office, plant, said):
        plant.until(lambda: (order("1"), order("2")) == ("Closed", "Closed"))
    response = plant.get("/api/v1/orders/tryton-1")["JobResponse"]
    good = {one["ID"]: one["Value"][0]["ValueString"] for one in response["JobResponseData"]}["GoodQuantity"]
    booked = tryton.call(
        "model.stock.move.search_read",
        [("production_output", "in", [first, second])], 0, None, None, ["quantity", "state", "production_output"],
    )  # fmt: skip
    made = {(one["production_output"], one["state"]): one["quantity"] for one in booked}
    assert made.pop((first, "done")) == float(good) >= BOTTLES
    assert [state for _, state in made] == ["cancelled"]
    assert production(tryton, "1")["state"] == "done"
    assert f"production 1: done, {good} are good" in said.read_text(encoding="utf-8")


def production(tryton: Tryton, number: str) -> Any:
    (found,) = tryton.call("model.production.search_read", [("number", "=", number)], 0, None, None, ["state"])
    return found
