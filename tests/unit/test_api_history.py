"""History over HTTP: forms, pages, pictures, buckets, ETags; and whatever is asked, never a 500."""

import asyncio
import csv
import io
import random
import sys
from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
import pytest

from gateway.historian.history import History, Progress
from gateway.historian.schema import engine
from gateway.model import Batch, Kind, Tag
from tests.drive import SITE, SPEED, Hall, Still, served
from tests.property.strategies import column
from tests.simulation.loop import EPOCH_NS

S = 1_000_000_000
PATH = "/api/v1/history/hall/drive/speed"
RANGE = {"from": "2026-01-05T05:00:00Z", "to": "2026-01-05T06:00:00Z"}
START_NS = EPOCH_NS - 3600 * S
N = 3600


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway with an hour of a reading per second: 0, 1, 2, ..., every tenth of them bad; half of it compacted."""
    hall = Hall(Still())
    history = History(engine(f"sqlite:///{tmp_path / 'history.db'}"))
    series = history.series([hall.catalog[hall.catalog.number(SPEED)]])[0]
    time, quality = START_NS + np.arange(N) * S, np.where(np.arange(N) % 10 == 9, 0x808A_0000, 0)
    for half in (slice(N // 2), slice(N // 2, N)):
        n = len(time[half])
        batch = Batch.of([series] * n, time[half], np.arange(N, dtype=float)[half], quality[half])
        history.append([batch], Progress("gw1", "j", 1), 0)
        if half.start is None:
            history.compact(0)
    async with served(hall, tmp_path, {}, history) as client:
        yield client
    history.close()


async def got(http: httpx.AsyncClient, **params: Any) -> Any:
    answer = await http.get(PATH, params=RANGE | params)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("limit", [1, 7, 1799, 1800, 3600])
@pytest.mark.parametrize("quality", ["any", "good"])
async def test_pages_have_every_reading_once(http: httpx.AsyncClient, limit: int, quality: str) -> None:
    params: dict[str, Any] = {"limit": limit, "quality": quality, "from": "2026-01-05T05:29:00Z", "to": RANGE["to"]}
    if limit == 1:
        params["to"] = "2026-01-05T05:31:00Z"
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await got(http, **params, cursor=cursor)
        seen += [row["timestamp"] for row in page["readings"]]
        cursor = page["next"]
    seconds = range(29 * 60, 31 * 60 if limit == 1 else N)
    wanted = [k for k in seconds if quality == "any" or k % 10 != 9]
    assert seen == [f"2026-01-05T05:{k // 60:02}:{k % 60:02}.000000Z" for k in wanted]


async def test_the_header_accept_says_the_form(http: httpx.AsyncClient) -> None:
    table = await http.get(PATH, params=RANGE | {"limit": 3}, headers={"Accept": "text/csv;q=0.9, */*"})
    rows = list(csv.reader(io.StringIO(table.text)))
    assert table.headers["content-type"].startswith("text/csv; header=present")
    assert rows[:2] == [["timestamp", "value", "status"], ["2026-01-05T05:00:00.000000Z", "0.0", "0"]]
    first = await http.get(PATH, params=RANGE | {"limit": 3}, headers={"Accept": "application/json, text/csv"})
    assert first.json()["next"] == table.headers["x-next-cursor"]
    lines = await http.get(PATH, params=RANGE | {"limit": 3}, headers={"Accept": "application/x-ndjson"})
    assert [orjson.loads(line)["value"] for line in lines.text.splitlines()] == [0, 1, 2]
    assert lines.headers["x-next-cursor"] == table.headers["x-next-cursor"]


def rows_of(answer: httpx.Response) -> Any:
    """The table of Arrow or Parquet that an answer has."""
    assert answer.status_code == 200, answer.text
    if answer.headers["content-type"] == "application/vnd.apache.parquet":
        return import_module("pyarrow.parquet").read_table(io.BytesIO(answer.content))
    return import_module("pyarrow").ipc.open_stream(answer.content).read_all()


@pytest.mark.parametrize("form", ["arrow", "parquet"])
async def test_columns_are_those_of_json_page_by_page(http: httpx.AsyncClient, form: str) -> None:
    media = {"Accept": f"application/vnd.apache.{'arrow.stream' if form == 'arrow' else 'parquet'}"}
    seen: list[tuple[int, float, int]] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = await http.get(PATH, params=RANGE | {"limit": 1000, "cursor": cursor}, headers=media)
        table = rows_of(answer)
        assert [str(field.type) for field in table.schema] == ["timestamp[ns, tz=UTC]", "double", "uint32"]
        assert table.schema.metadata[b"path"].decode() == SPEED
        seen += zip(
            *(
                table[name].cast("int64" if name == "timestamp" else table[name].type).to_pylist()
                for name in table.column_names
            ),
            strict=True,
        )
        cursor = answer.headers.get("x-next-cursor")
    assert seen == [(START_NS + k * S, float(k), 0x808A_0000 if k % 10 == 9 else 0) for k in range(N)]


async def test_a_page_of_columns_may_be_long_and_is_known_again(http: httpx.AsyncClient) -> None:
    params: dict[str, Any] = RANGE | {"limit": 1_000_000, "format": "arrow"}
    first = await http.get(PATH, params=params)
    assert len(rows_of(first)) == N
    assert (await http.get(PATH, params=params, headers={"If-None-Match": first.headers["etag"]})).status_code == 304
    assert (await http.get(PATH, params=params | {"format": "csv"})).status_code == 422


async def test_buckets_and_aligned_tags_as_columns(http: httpx.AsyncClient) -> None:
    buckets = rows_of(await http.get(PATH, params=RANGE | {"bucket": "9s", "detailed": True, "format": "parquet"}))
    plain = (await got(http, bucket="9s", detailed=True))["buckets"]
    assert buckets.drop(["timestamp", "states"]).to_pylist() == [
        {name: row[name] for name in row if name not in ("timestamp", "states")} for row in plain
    ]
    beside = rows_of(await aligned(http, "arrow", to="2026-01-05T05:00:20Z", every="5s"))
    assert beside[SPEED].to_pylist() == [None, 4.0, None, 14.0, None]
    assert beside[f"{SITE}/hall/drive/recipe"].null_count == 5


async def test_a_tag_that_changed_its_kind_is_told_as_text(http: httpx.AsyncClient, tmp_path: Path) -> None:
    history = History(engine(f"sqlite:///{tmp_path / 'history.db'}"))
    (series,) = history.series([Tag(f"{SITE}/hall/drive", "speed")])
    history.append([Batch.of([series], [START_NS + 1], column(Kind.OBJECT, ["tea"]))], Progress("gw1", "j", 2), 0)
    history.close()
    answer = await http.get(PATH, params=RANGE | {"to": "2026-01-05T05:00:02Z", "format": "arrow"})
    assert rows_of(answer)["value"].to_pylist() == ["0.0", "tea", "1.0"]


async def test_without_pyarrow_there_is_a_remedy(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    answer = await http.get(PATH, params=RANGE | {"format": "arrow"})
    assert (answer.status_code, "pip install" in answer.json()["detail"]) == (501, True)


@pytest.mark.parametrize("method", ["lttb", "minmax"])
async def test_a_picture_has_few_points_and_both_ends(http: httpx.AsyncClient, method: str) -> None:
    rows = (await got(http, points=50, method=method))["readings"]
    assert len(rows) == 50
    assert (rows[0]["value"], rows[-1]["value"]) == (0, 3598)


async def test_buckets_in_detail(http: httpx.AsyncClient) -> None:
    """Of ten seconds nine are known: 0 to 8, whose mean is 4; each but the first differs from the one before."""
    buckets = (await got(http, bucket="10s", detailed=True))["buckets"]
    assert len(buckets) == 360
    assert {(row["count"], row["good"], row["held"], row["changes"]) for row in buckets[1:]} == {(10, 9, 9.0, 9)}
    assert [row["time_mean"] for row in buckets[:3]] == pytest.approx([4.0, 14.0, 24.0])
    assert buckets[0]["deviation"] == pytest.approx(np.std(np.arange(9), ddof=1))


async def test_an_hour_in_one_bucket_is_the_same_in_detail(http: httpx.AsyncClient) -> None:
    (plain,), (more,) = [(await got(http, bucket="1h", detailed=detailed))["buckets"] for detailed in (False, True)]
    assert plain == {name: more[name] for name in plain}


async def test_an_answer_that_is_known_is_not_sent_again(http: httpx.AsyncClient) -> None:
    first = await http.get(PATH, params=RANGE)
    again = await http.get(PATH, params=RANGE, headers={"If-None-Match": first.headers["etag"]})
    other = await http.get(PATH, params=RANGE | {"limit": 5}, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content, other.status_code) == (304, b"", 200)
    assert "etag" not in (await http.get(PATH, params=RANGE | {"to": "2026-01-05T06:00:01Z"})).headers


async def test_a_value_at_some_time(http: httpx.AsyncClient) -> None:
    async def at(**params: Any) -> tuple[int, Any]:
        answer = await http.get("/api/v1/values/hall/drive/speed", params=params)
        return answer.status_code, answer.json().get("value")

    assert await at(at="2026-01-05T05:00:18.5Z") == (200, 18)
    assert await at(at="2026-01-05T05:00:19.5Z") == (200, None)
    assert await at(at="2026-01-05T05:00:19.5Z", good=True) == (200, 18)
    assert await at(at="2026-01-05T05:59:59.5Z", good=True) == (200, 3598)
    assert (await at(at="2026-01-05T04:00:00Z"))[0] == 404


async def aligned(http: httpx.AsyncClient, form: str = "", **params: Any) -> httpx.Response:
    wanted = {"tag": ["hall/drive/speed", "hall/drive/recipe"], "from": "2026-01-05T04:59:59Z", "format": form} | params
    return await http.get("/api/v1/history", params=wanted)


async def test_several_tags_at_the_same_times(http: httpx.AsyncClient) -> None:
    """A second before the first reading nothing is known; every tenth is bad; the other tag has no history."""
    answer = await aligned(http, to="2026-01-05T05:00:20Z", every="5s")
    told = answer.json()
    assert told["timestamps"] == [
        f"2026-01-05T{text}.000000Z" for text in ("04:59:59", "05:00:04", "05:00:09", "05:00:14", "05:00:19")
    ]
    assert told["values"] == {SPEED: [None, 4.0, None, 14.0, None], f"{SITE}/hall/drive/recipe": [None] * 5}
    assert (await aligned(http, "csv", to="2026-01-05T05:00:09Z", every="5s")).text.splitlines() == [
        f"timestamp,{SPEED},{SITE}/hall/drive/recipe",
        "2026-01-05T04:59:59.000000Z,,",
        "2026-01-05T05:00:04.000000Z,4.0,",
    ]
    lines = (await aligned(http, "ndjson", to="2026-01-05T05:30:00Z", every="1s")).text.splitlines()
    assert (len(lines), orjson.loads(lines[-2])[SPEED]) == (1801, 1798.0)


@pytest.mark.parametrize(
    "params", [{"every": "0s"}, {"every": "1ms"}, {"every": "x"}, {"tag": []}, {"tag": ["hall/drive/speed"] * 51}]
)
async def test_a_grid_that_is_none_or_too_fine_is_refused(http: httpx.AsyncClient, params: dict[str, Any]) -> None:
    answer = await aligned(http, **params)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


ODD = [
    *(
        "",
        "0",
        "-1",
        "1e9",
        "nan",
        "inf",
        "true",
        "csv",
        "ndjson",
        "arrow",
        "parquet",
        "lttb",
        "good",
        "*",
        "1.²",
        "²",
        "ü",
        "\x00",
    ),
    *("now", "-1h", "1min", "1ms", "1h", "7d", "0s", "9" * 15, "9" * 30, "-" + "9" * 400 + "d"),
    *("2026-01-05T05:30:00Z", "2261-12-31T00:00:00Z", "1678-06-01T00:00:00Z", "1767589200000000000.1"),
    *("-9223372036854775808.0", "9223372036854775807.5", "1-1.0", "--1.0"),
    *("9" * 19 + ".0", "9" * 19 + ":x", "2260-12-31T00:00:00Z", "1679-01-02T00:00:00Z", "366d"),
]
KEYS = ["from", "to", "bucket", "detailed", "points", "method", "quality", "limit", "cursor", "format"]


@pytest.mark.parametrize(
    ("path", "params"),
    [
        (PATH, {"cursor": "9" * 19 + ".0"}),
        ("/api/v1/ledger", {"cursor": "9" * 19 + ":drive"}),
        ("/api/v1/ledger", {"cursor": "0"}),
        (PATH, {"from": "1680-01-01T00:00:00Z", "to": "2260-01-01T00:00:00Z", "bucket": "365d"}),
        (PATH, {"from": "1680-01-01T00:00:00Z", "to": "2260-01-01T00:00:00Z", "bucket": "1d", "detailed": "true"}),
    ],
)
async def test_numbers_of_more_than_64_bits_are_a_problem(
    http: httpx.AsyncClient, path: str, params: dict[str, str]
) -> None:
    """They were a mistake of the gateway, and the last of them an answer with buckets in the year 155182."""
    answer = await http.get(path, params=params)
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("end", [("1679-01-01T00:00:00Z", "1679-06-01T00:00:00Z"), ("2260-01-01T00:00:00Z",) * 2])
@pytest.mark.parametrize("detailed", ["false", "true"])
async def test_buckets_at_the_ends_of_time(http: httpx.AsyncClient, end: tuple[str, str], detailed: str) -> None:
    range_ = {"from": end[0], "to": end[1], "bucket": "366d", "detailed": detailed}
    assert (await http.get(PATH, params=range_)).status_code == 200


async def test_head_is_get_without_the_body_also_of_what_has_no_end(http: httpx.AsyncClient) -> None:
    for path in (PATH, "/api/v1/values", "/api/v1/stream", "/", "/i3x/v1/info"):
        async with asyncio.timeout(10):
            answer = await http.head(path)
        assert (answer.status_code, answer.content) == (200, b""), path
    assert (await http.head("/api/v1/nothing")).status_code == 404


async def test_another_method_is_said_to_be_wrong_not_the_path(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/v1/writes")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["detail"] == "GET is not possible here, POST is"
    assert (await http.post("/api/v1/nothing")).status_code == 404
    i3x = await http.options("/i3x/v1/objects/value")
    assert (i3x.status_code, i3x.headers["allow"]) == (405, "POST, PUT")


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_is_asked_is_answered_or_is_a_problem(http: httpx.AsyncClient, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(60):
        params = {key: chance.choice(ODD) for key in chance.sample(KEYS, chance.randint(1, 4))}
        path = chance.choice([PATH, PATH, "/api/v1/values/hall/drive/speed", "/api/v1/history"])
        if path == "/api/v1/history":
            params |= {"tag": "hall/drive/speed", "every": chance.choice(ODD)}
        answer = await http.get(path, params={"at": chance.choice(ODD)} if "values" in path else params)
        assert answer.status_code in (200, 404, 422), (params, answer.text)
        if answer.status_code != 200:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["status"] == answer.status_code
