"""The fast route to the latest readings gives what the routes give, whatever has come meanwhile."""

from pathlib import Path

import httpx
import pytest

from api.app import create
from gateway.model import Batch
from gateway.model.batch import objects
from tests.drive import SITE, Hall, Still, shown
from tests.simulation.loop import EPOCH_NS

QUESTIONS = [
    "/api/v1/values",
    "/api/v1/values?match=*/s*",
    "/api/v1/values?tag=hall/drive/steps&tag=hall/drive/speed&tag=hall/drive/steps",
    "/api/v1/values?match=*/nothing",
    "/api/v1/values?match=",
    "/api/v1/values?tag=hall/drive/none",
    "/api/v1/values?tag",
    "/api/v1/values/hall/drive/speed",
    f"/api/v1/values/{SITE}/hall/drive/recipe",
    "/api/v1/values/hall/drive/none",
    "/api/v1/values/",
]


@pytest.mark.parametrize("question", QUESTIONS)
async def test_both_ways_give_the_same(tmp_path: Path, question: str) -> None:
    hall = Hall(Still())
    with shown(hall, tmp_path, Still()) as (view, hub):
        transport = httpx.ASGITransport(create(view, {}))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
            longer = question + ("&" if "?" in question else "?") + "long=way"
            for k, value in enumerate([None, 1.5, 2.5, float("nan"), "tea"]):
                if value is not None:
                    name = "recipe" if value == "tea" else "speed"
                    column = objects([value]) if value == "tea" else [value]
                    hub(Batch.of([hall.catalog.number(f"{SITE}/hall/drive/{name}")], [EPOCH_NS + k], column))
                fast, long = await http.get(question), await http.get(longer)
                assert (fast.status_code, fast.content) == (long.status_code, long.content)
                assert fast.headers["content-type"] == long.headers["content-type"]
