"""The office of the simulated plant: one order after the other for a work unit of a gateway, as an ERP hands them over.

    python -m simulators.office http://127.0.0.1:8080 filler --pieces 20000

An order is stopped when as many good pieces are there as it wants. Knows of the gateway what its REST API says, and
ends when its standard input does.
"""

import argparse
import asyncio
import json
import time
from contextlib import suppress
from typing import Any, Final
from urllib.request import Request, urlopen

from simulators.lifetime import stop_at_end_of_input, stop_on_signal

_LOOK_S: Final = 2.0
_ANSWER_S: Final = 10.0


class Office:
    """What one person of the planning would do all day."""

    def __init__(self, gateway: str, unit: str, pieces: int) -> None:
        self._api = f"{gateway}/api/v1"
        self._unit = unit
        self._pieces = pieces

    def look(self) -> None:
        """Stop the order if enough is made; give the next one to a free unit. Raises OSError if that cannot be done."""
        unit = next(one for one in self._asked("units") if one["name"] == self._unit)
        job = (unit["order"] or {}).get("response", {})
        data = {one["ID"]: one["Value"][0]["ValueString"] for one in job.get("JobResponseData", [])}
        if job.get("JobState") not in ("Running", "Paused"):
            self._order(f"{unit['asset']}/recipe")
        elif float(data["GoodQuantity"]) >= (unit["order"]["planned"] or 0):
            self._asked(f"orders/{job['JobOrderID']}/commands", f"{job['JobOrderID']}-stop", {"Command": "Stop"})

    def _order(self, path: str) -> None:
        recipe = self._asked(f"values/{path}")["value"]
        if recipe is None:
            return
        id = time.strftime("B%y%m%d-%H%M%S", time.gmtime())
        made = {
            "MaterialDefinitionID": [recipe],
            "MaterialLotID": [f"L-{id}"],
            "MaterialUse": "Produced",
            "Quantity": [{"QuantityString": str(self._pieces)}],
        }
        job = {"ID": id, "HierarchyScope": {"EquipmentID": self._unit}, "Command": "Start"}
        self._asked("orders", id, {**job, "MaterialRequirement": [made]})

    def _asked(self, path: str, key: str = "", wish: Any = None) -> Any:
        headers = {"Content-Type": "application/json", **({"Idempotency-Key": key} if key else {})}
        request = Request(f"{self._api}/{path}", None if wish is None else json.dumps(wish).encode(), headers)
        with urlopen(request, timeout=_ANSWER_S) as answer:
            return json.load(answer)


async def main(office: Office) -> None:
    """Look again and again, until there is nobody to work for; a gateway that is busy or gone is asked again."""
    stop = asyncio.Event()
    with stop_on_signal(stop):
        stop_at_end_of_input(stop)
        while not stop.is_set():
            with suppress(OSError):
                await asyncio.to_thread(office.look)
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await stop.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Hand one order after the other to a work unit of a gateway.")
    parser.add_argument("gateway", help="http://127.0.0.1:8080")
    parser.add_argument("unit", help="the work unit, by name")
    parser.add_argument("--pieces", type=int, default=20_000, help="good pieces per order (%(default)s)")
    options = parser.parse_args()
    asyncio.run(main(Office(options.gateway, options.unit, options.pieces)))
