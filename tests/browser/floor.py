"""A small plant for the page to show: a press, which is a work unit, by OPC UA; a meter with an alarm by Modbus."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.process import write
from tests.servers import ModbusRig, OpcUaRig, free_port, modbus, opcua


@dataclass(frozen=True, slots=True)
class Floor:
    """The devices, the configuration of a gateway that reads them, and where its page will be."""

    press: OpcUaRig
    meter: ModbusRig
    config: Path
    url: str


@asynccontextmanager
async def floor(folder: Path, **api: Any) -> AsyncIterator[Floor]:
    """Run the devices; `api` are further keys of that section."""
    async with opcua() as press, modbus() as meter:
        meter.holding[0] = 100
        meter.illegal = {500}
        port = free_port()
        config = write(folder / "plant.yaml", _config(folder, press, meter, port, api))
        yield Floor(press, meter, config, f"http://127.0.0.1:{port}")


def _config(folder: Path, press: OpcUaRig, meter: ModbusRig, port: int, api: dict[str, Any]) -> dict[str, Any]:
    def node(name: str, **keys: Any) -> dict[str, Any]:
        return {"node": f"nsu={press.URI};s={name}", **keys}

    return {
        "site": {"enterprise": "acme", "site": "dresden"},
        "id": "gw7",
        "data_dir": str(folder / "data"),
        "bus": {"listen": f"127.0.0.1:{free_port()}"},
        "api": {"listen": f"127.0.0.1:{port}", **api},
        "devices": {
            "press": {
                "connect": press.url,
                "asset": "forming/line2/press",
                "tags": {
                    "temperature": node("Temperature", unit="Cel", description="of the <b>oil</b>"),
                    "state": node("Count", labels={6: "execute", 7: "stopping"}),
                    "total": node("Big"),
                    "running": node("Running"),
                    "recipe": node("Recipe"),
                    "vibration": node("Wave", unit="m/s2"),
                },
            },
            "meter": {
                "connect": f"modbus://127.0.0.1:{meter.port}",
                "asset": "utilities/meter",
                "poll": "100ms",
                "timeout": "500ms",
                "tags": {
                    "flow": {"register": "holding:0", "scale": 0.1, "unit": "m3/h"},
                    "missing": {"register": "holding:500"},
                },
            },
        },
        "production": {"units": {"press": {"asset": "forming/line2/press", "state": "state"}}},
        "signals": {"leak": {"type": "drift", "input": "utilities/meter/flow", "warm_up": 5, "on": 1}},
    }
