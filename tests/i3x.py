"""A gateway as i3X clients see it: the API behind an HTTP server, fed by the test; and what every answer must be."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import orjson

from api.access import Client
from api.app import create
from gateway.historian.history import History, Progress
from gateway.historian.schema import engine
from gateway.hub import Hub
from gateway.model import Batch, Tag
from gateway.model.batch import objects
from gateway.ports import listener
from gateway.serving import serving
from tests.drive import SITE, TAGS, Hall, shown
from tests.simulation.loop import EPOCH_NS

S: Final = 1_000_000_000
DRIVE: Final = f"{SITE}/hall/drive"
PRESS: Final = f"{SITE}/hall/press"
PLANT: Final = [
    *TAGS,
    Tag(PRESS, "temperature", device="press", unit="Cel", low=0.0, high=120.0, description="of the oil"),
    Tag(PRESS, "state", device="press", labels={1: "stopped", 2: "running"}),
    Tag(PRESS, "vibration/waveform", device="press", unit="g"),
    Tag(PRESS, "closed", device="press"),
    Tag(PRESS, "never", device="press"),
    Tag(f"{PRESS}/vibration", "rms", device="press", unit="mm/s"),
    Tag(f"{SITE}/hall", "drive/torque2", device="press"),
]
UTC: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
QUALITIES: Final = {"Good", "GoodNoData", "Bad", "Uncertain"}


class Hand:
    """A Clock that a test moves."""

    def __init__(self) -> None:
        self.ns = EPOCH_NS

    def now_ns(self) -> int:
        return self.ns


class Floor:
    """A gateway and a client of it. `url` is the base of the standard."""

    def __init__(self, hall: Hall, hub: Hub, http: httpx.AsyncClient, url: str, clock: Hand) -> None:
        self.hall, self.hub, self.http, self.url, self.clock = hall, hub, http, url, clock

    def emit(self, path: str, value: Any, *, time_ns: int | None = None, quality: int = 0) -> None:
        """Let a reading come."""
        tag = self.hall.catalog.number(path)
        column = value if isinstance(value, (float, int, bool)) else objects([value])
        time = self.clock.ns if time_ns is None else time_ns
        self.hub(Batch.of([tag], time, column, quality))

    async def got(self, path: str, **params: Any) -> Any:
        """The result of a GET."""
        return result(await self.http.get(path, params=params))

    async def single(self, path: str, **body: Any) -> Any:
        """The result of a POST that has one."""
        return result(await self.http.post(path, json=body))

    async def bulk(self, path: str, *, method: str = "POST", key: str = "elementId", **body: Any) -> list[Any]:
        """The items of a POST or PUT for many, in the order of the request."""
        answer = await self.http.request(method, path, json=body)
        assert answer.status_code == 200, answer.text
        asked = body.get("elementIds") or body.get("subscriptionIds")
        ids = asked or [one["elementId"] for one in body.get("updates", [])]
        return items(answer, ids, key)

    async def value(self, id: str, **body: Any) -> Any:
        (item,) = await self.bulk("/objects/value", elementIds=[id], **body)
        assert item["success"], item
        return item["result"]

    async def past(self, *ids: str, start: str, end: str, **body: Any) -> list[Any]:
        found = await self.bulk("/objects/history", elementIds=list(ids), startTime=start, endTime=end, **body)
        return [item["result"] for item in found]


def result(answer: httpx.Response) -> Any:
    """What a single answer brings, in an envelope as the standard has it."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["success"] is True
    assert body.keys() == {"success", "result"}
    return body["result"]


def items(answer: httpx.Response, ids: list[str], key: str = "elementId") -> list[Any]:
    """The items of a bulk answer, which are as many as were asked for, and in that order."""
    body = answer.json()
    assert [item[key] for item in body["results"]] == ids
    assert body["success"] is all(item["success"] for item in body["results"])
    for item in body["results"]:
        if item["success"]:
            assert item.keys() == {"success", key, "result"}
        else:
            assert item.keys() == {"success", key, "responseDetail"}
            detail(item["responseDetail"])
    return list(body["results"])


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and text of an error, in an envelope as the standard has it."""
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body.keys() == {"success", "responseDetail"}
    assert body["success"] is False
    assert body["responseDetail"]["status"] == answer.status_code
    return answer.status_code, detail(body["responseDetail"])


def detail(told: Any) -> str:
    assert told.keys() == {"title", "status", "detail"}
    assert isinstance(told["title"], str)
    assert type(told["status"]) is int
    assert isinstance(told["detail"], str)
    return str(told["detail"])


def vqt(row: Mapping[str, Any]) -> tuple[Any, str, str]:
    """Value, quality and timestamp, if they are as the standard wants them."""
    assert row["quality"] in QUALITIES
    assert UTC.fullmatch(row["timestamp"]), row
    assert (row["value"] is None) == (row["quality"] in ("Bad", "GoodNoData")), row
    return row["value"], row["quality"], row["timestamp"]


@asynccontextmanager
async def floor(folder: Path, *, tokens: Mapping[str, str] | None = None, history: bool = True) -> AsyncIterator[Floor]:
    """A gateway with a drive that may be written, and a press; with history of nothing yet."""
    clock = Hand()
    hall = Hall(clock, PLANT)
    kept = History(engine(f"sqlite:///{folder / 'history.db'}")) if history else None
    with shown(hall, folder, clock, kept) as (view, hub), listener("127.0.0.1", 0) as socket:
        url = f"http://127.0.0.1:{socket.getsockname()[1]}/i3x/v1"
        async with (
            serving(create(view, {name: Client(token) for name, token in (tokens or {}).items()}), socket),
            httpx.AsyncClient(base_url=url, timeout=30) as http,
        ):
            yield Floor(hall, hub, http, url, clock)
    if kept is not None:
        kept.close()


def store(folder: Path, path: str, time_ns: list[int], value: list[Any], quality: list[int] | int = 0) -> None:
    """Put readings of a tag into the history of the floor in this folder."""
    history = History(engine(f"sqlite:///{folder / 'history.db'}"))
    tag = next(tag for tag in PLANT if tag.path == path)
    series = int(history.series([tag])[0])
    history.append([Batch.of([series] * len(time_ns), time_ns, value, quality)], Progress("gw1", "j", 1), 0)
    history.close()


async def events(answer: httpx.Response) -> AsyncIterator[list[Any]]:
    """The arrays of an event stream, each on one line of data."""
    async for line in answer.aiter_lines():
        if line.startswith("data: "):
            told = orjson.loads(line.removeprefix("data: "))
            assert isinstance(told, list)
            yield told
        else:
            assert line == "" or line.startswith(": ")
