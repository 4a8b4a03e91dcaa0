"""The lines of docs/production.md for an ERP's day, as they stand there, against a real gateway."""

import asyncio
import json
import re
import subprocess
from pathlib import Path
from typing import Any

from tests.integration.process import GatewayProcess, alive, write
from tests.servers import free_port, modbus, needs

DOCS = Path(__file__).parents[2] / "docs" / "production.md"
EXECUTE, ABORTED = 6, 9
WEEK = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def configuration(folder: Path, port: int) -> dict[str, Any]:
    tags = {role: {"register": f"holding:{n}"} for n, role in enumerate(("state", "produced", "scrap"))}
    return {
        "site": {"enterprise": "acme", "site": "test"},
        "data_dir": str(folder / "data"),
        "bus": {"listen": f"127.0.0.1:{free_port()}"},
        "api": {"listen": "127.0.0.1:0"},
        "devices": {
            "filler": {
                "connect": f"modbus://127.0.0.1:{port}",
                "asset": "packaging/line1/filler",
                "poll": "50ms",
                "tags": tags,
            }
        },
        "production": {
            "shifts": {"whole": {"start": "00:00", "end": "00:00", "days": WEEK}},
            "units": {"filler": {"asset": "packaging/line1/filler", "ideal_cycle": 0.1, **{tag: tag for tag in tags}}},
        },
    }


def the_day(gateway: GatewayProcess) -> list[str]:
    """Run the lines; return what each answered. A line that is refused ends it."""
    needs("curl")
    (lines,) = re.findall(r"```sh\n(api=.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    lines = lines.replace("http://127.0.0.1:8080", gateway.ready["api"])
    head = 'set -euo pipefail\ncurl() { command curl --fail-with-body "$@"; printf "\\n\\0"; }\n'
    done = subprocess.run(
        ["bash", "-c", head + lines.replace("$(curl", "$(command curl")], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    return done.stdout.decode().split("\0")[:-1]


async def test_the_lines_of_the_docs_are_a_day_of_an_erp(tmp_path: Path) -> None:
    async with modbus() as machine:
        machine.holding[:3] = [EXECUTE, 1_000, 10]
        async with alive(write(tmp_path / "plant.yaml", configuration(tmp_path, machine.port))) as gateway:

            def unit() -> Any:
                return gateway.get("/api/v1/units")[0]["state"]

            await asyncio.to_thread(gateway.until, lambda: unit() == "producing")
            machine.holding[:3] = [ABORTED, 1_040, 12]
            await asyncio.to_thread(gateway.until, lambda: unit() == "failure")
            said = await asyncio.to_thread(the_day, gateway)
    taken, order, units, of_order, of_line, booked, why, stopped, made, cleared, shift = map(json.loads, said[:11])
    states = [one["JobResponse"]["JobState"] for one in (taken, order, booked, stopped, made, cleared)]
    assert states == ["Running", "Running", "Running", "Completed", "Completed", "Closed"]
    assert [one["MaterialLotID"] for one in made["JobResponse"]["MaterialActual"]] == [["L-88"], ["C-5"]]
    assert units[0]["order"]["response"]["JobOrderID"] == "JO-77"
    assert of_order["kpis"]["oee"]["formula"] == "PRI * GQ / PBT"
    assert (of_line["elements"]["PQ"]["value"], of_line["elements"]["SQ"]["value"]) == (40, 2)
    assert (why["reason"], why["kind"], why["end"]) == ("LABEL-JAM", "failure", None)
    assert shift["elements"]["FE"]["value"] == 1
    assert said[11].startswith("Unit,Shift,Start,oee,coverage\r\nfiller,")
    assert [stop["Text"] for stop in json.loads(said[12])["value"]] == ["reel ran out"]
