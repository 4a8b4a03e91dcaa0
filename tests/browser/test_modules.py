"""The pure modules of the page, called one by one in the browser that will run them."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

import api
from tests.browser.chromium import Page, chromium

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE: Final = Path(api.__file__).parent / "page"
THIN: Final = "\u202f"

Call = Callable[[str, str], Awaitable[Any]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    """A browser at an address from which the modules can be imported, without the page itself."""
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(PAGE)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert server.stdout is not None
    port = (await server.stdout.readline()).decode().split(" port ")[1].split()[0]
    try:
        async with chromium(tmp_path_factory.mktemp("modules")) as page:
            await page.open(f"http://127.0.0.1:{port}/style.css")
            yield page
    finally:
        server.terminate()
        await server.wait()


@pytest.fixture
def call(browser: Page) -> Call:
    """Evaluate an expression in which the exports of a module are `m`."""

    async def evaluate(module: str, expression: str) -> Any:
        return await browser.run(f"import('/{module}.js').then((m) => ({expression}))")

    return evaluate


# --- format.js ----------------------------------------------------------------------------

FORMATS: Final = [
    ("m.unit('Cel')", "°C"),
    ("m.unit('m/s2')", "m/s²"),
    ("m.unit('m3/h')", "m³/h"),
    ("m.unit('kW.h')", "kW·h"),
    ("m.unit('{rev}/min')", "rev/min"),
    ("m.unit('um/s')", "µm/s"),
    ("m.unit('1')", ""),
    ("m.unit('%')", "%"),
    ("m.number(48213077, 0)", f"48{THIN}213{THIN}077"),
    ("m.number(-12345.678, 2)", f"-12{THIN}345.68"),
    ("m.number(4096, 0)", "4096"),
    ("m.number(0, 1)", "0.0"),
    ("m.number(1.2e-9, 3)", "1.200e-9"),
    ("m.value(null)", "–"),
    ("m.value(true)", "true"),
    ("m.value(6, {labels: {6: 'execute'}})", "execute (6)"),
    ("m.value(3, {labels: {6: 'execute'}, decimals: 0})", "3"),
    ("m.value('9007199254740993')", "9007199254740993"),
    ("m.value([1, 2, 3])", "3 samples"),
    ("m.value({a: 1})", '{"a":1}'),
    ("m.age(400)", "now"),
    ("m.age(59_999)", "59 s ago"),
    ("m.age(60_000)", "1 min ago"),
    ("m.age(47.5 * 3_600_000)", "47 h ago"),
    ("m.age(48 * 3_600_000)", "2 d ago"),
    ("m.age(-1999)", "now"),
    ("m.age(-120_000)", "2 min ahead"),
    ("m.reason('BadNotConnected')", "not connected"),
    ("m.reason('UncertainNoCommunicationLastUsableValue')", "no communication last usable value"),
    ("m.reason('0x80ab0000')", "0x80ab0000"),
    ("m.reason('')", ""),
    ("m.counted(1, 'tag')", "1 tag"),
    ("m.counted(2000, 'tag')", "2000 tags"),
    ("m.moment(new Date(2026, 0, 5, 6, 7, 8).getTime(), new Date(2026, 0, 5, 23).getTime())", "06:07:08"),
    ("m.moment(new Date(2026, 0, 5, 6, 7, 8).getTime(), new Date(2026, 0, 6).getTime())", "2026-01-05 06:07:08"),
    ("m.timeTick(new Date(2026, 0, 5, 6, 7, 8).getTime(), 1000)", "06:07:08"),
    ("m.timeTick(new Date(2026, 0, 5, 6, 7).getTime(), 60_000)", "06:07"),
    ("m.timeTick(new Date(2026, 0, 5).getTime(), 3_600_000)", "2026-01-05"),
]


@pytest.mark.parametrize(("expression", "expected"), FORMATS)
async def test_values_are_written_as_people_read_them(call: Call, expression: str, expected: str) -> None:
    assert await call("format", expression) == expected


@pytest.mark.parametrize(
    ("numbers", "decimals"),
    [
        ([], 0),
        ([3115, 24000], 0),
        ([5.97, 6], 2),
        ([0.8999999761581421], 1),  # 0.9 as a 32-bit float
        ([23.456789], 2),
        ([99.5, 100.25], 1),
        ([123456.789], 0),
        ([0.00123], 5),
        ([-1e-12], 6),  # more would not be read
    ],
)
async def test_numbers_are_as_fine_as_they_come_and_have_four_digits_at_most(
    call: Call, numbers: list[float], decimals: int
) -> None:
    seen = f"(() => {{ const p = new m.Precision(); {numbers}.forEach((x) => p.see(x)); return p.decimals; }})()"
    assert await call("format", seen) == decimals


# --- sse.js -------------------------------------------------------------------------------

STREAM: Final = (
    ": hello\n\n"
    "id: 7-1\r\nevent: values\r\ndata: [1,\r\ndata: 2]\r\n\r\n"
    "data:no space\rdata\r\r"
    "event: forgotten\n\n"
    "id: bad\\0id\ndata: a: b\n\n"
    "retry: 10\nunknown\ndata:  two spaces\n\n"
    "data: not finished"
)
EVENTS: Final = [
    {"type": "values", "data": "[1,\n2]", "id": "7-1"},
    {"type": "message", "data": "no space\n", "id": "7-1"},
    {"type": "message", "data": "a: b", "id": "7-1"},
    {"type": "message", "data": " two spaces", "id": "7-1"},
]


async def test_a_stream_is_understood_however_it_is_cut(call: Call) -> None:
    """All ways to cut it in three."""
    stream = STREAM.replace("\r", "\\r").replace("\n", "\\n")
    different = f"""(() => {{
        const stream = "{stream}";
        const found = new Set();
        for (let i = 0; i <= stream.length; i++) for (let j = i; j <= stream.length; j++) {{
            const parser = new m.EventParser();
            const pieces = [stream.slice(0, i), stream.slice(i, j), stream.slice(j)];
            found.add(JSON.stringify(pieces.flatMap((piece) => parser.feed(piece))));
        }}
        return [...found].map(JSON.parse);
    }})()"""
    assert await call("sse", different) == [EVENTS]


# --- clock.js -----------------------------------------------------------------------------


async def test_the_time_of_the_gateway_is_found_from_whole_seconds(call: Call) -> None:
    """The gateway is 5000.4 s ahead; answers take 40 ms and say what second it is there."""
    found = """(() => {
        const clock = new m.GatewayClock(0);
        const truth = 5_000_400;
        for (let sent = 0; sent < 60_000; sent += 3137)
            clock.observe(sent, Math.floor((sent + 20 + truth) / 1000) * 1000, sent + 40);
        return clock.at(1000) - 1000 - truth;
    })()"""
    assert abs(await call("clock", found)) < 150


async def test_a_clock_that_was_set_is_believed_at_once(call: Call) -> None:
    found = """(() => {
        const clock = new m.GatewayClock(0);
        clock.observe(0, 1_000_000, 10);
        clock.observe(1000, 9_000_000, 1010);
        return clock.at(1010);
    })()"""
    assert abs(await call("clock", found) - 9_000_500) <= 510


# --- scale.js -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "count", "ticks", "decimals"),
    [
        (0, 100, 5, [0, 20, 40, 60, 80, 100], 0),
        (-2.6, -1.1, 4, [-3, -2.5, -2, -1.5, -1], 1),
        (20, 20, 4, [19.5, 20, 20.5], 1),
        (0.001, 0.0031, 3, [0.001, 0.002, 0.003, 0.004], 3),
    ],
)
async def test_an_axis_ends_on_ticks_of_one_two_or_five(
    call: Call, low: float, high: float, count: int, ticks: list[float], decimals: int
) -> None:
    axis = await call("scale", f"m.valueAxis({low}, {high}, {count})")
    assert axis["ticks"] == pytest.approx(ticks)
    assert (axis["from"], axis["to"], axis["decimals"]) == (axis["ticks"][0], axis["ticks"][-1], decimals)


@pytest.mark.parametrize("constant", ["0", "1e-9", "-273.15", "2**64", "1.7e308"])
async def test_a_constant_has_an_axis_whatever_its_size(call: Call, constant: str) -> None:
    axis = await call("scale", f"m.valueAxis({constant}, {constant}, 4)")
    assert axis["from"] < axis["to"]
    assert 2 <= len(axis["ticks"]) <= 12


async def test_ticks_of_time_are_on_full_units_where_the_reader_is(call: Call) -> None:
    start = "new Date(2026, 2, 1, 7, 3, 20).getTime()"
    found = await call("scale", f"m.timeTicks({start}, {start} + 600_000, 6)")
    assert found["step"] == 120_000
    minutes = f"({found['ticks']}).map((tick) => [new Date(tick).getMinutes(), new Date(tick).getSeconds()])"
    assert await call("scale", minutes) == [[4, 0], [6, 0], [8, 0], [10, 0], [12, 0]]


# --- series.js ----------------------------------------------------------------------------


def series(rows: list[tuple[int, Any, str]], *, discrete: bool = False) -> str:
    """A series of (second, value, state), as JavaScript."""
    appended = "".join(
        f"s.append({second * 1000}, {'null' if value is None else repr(value).lower()}, '{state}');"
        for second, value, state in rows
    )
    return f"(() => {{ const s = new m.Series({str(discrete).lower()}); {appended} return s; }})()"


async def test_a_line_breaks_where_there_is_no_value_and_reaches_until_then(call: Call) -> None:
    rows = [(0, 1.0, "good"), (1, 2.0, "good"), (2, None, "bad"), (5, 3.0, "uncertain"), (6, 4.0, "good")]
    lines = await call("series", f"{series(rows)}.polylines(0, 7000)")
    assert lines == [
        {"held": False, "points": [[0, 1], [1000, 2], [2000, 2]]},
        {"held": False, "points": [[5000, 3], [6000, 4], [7000, 4]]},
    ]
    assert await call("series", f"{series(rows)}.troubles(0, 7000)") == [
        {"state": "bad", "start": 2000, "end": 5000},
        {"state": "uncertain", "start": 5000, "end": 6000},
    ]


async def test_a_bad_value_is_a_gap_even_if_it_has_a_number(call: Call) -> None:
    rows = [(0, 1.0, "good"), (1, 99.0, "bad")]
    assert await call("series", f"{series(rows)}.polylines(0, 9000)") == [
        {"held": False, "points": [[0, 1], [1000, 1]]},
    ]
    assert await call("series", f"{series(rows)}.extent(0)") == [1, 1]


async def test_a_state_stands_until_the_next_one(call: Call) -> None:
    rows = [(0, False, "good"), (3600, True, "good")]
    assert await call("series", f"{series(rows, discrete=True)}.polylines(0, 3_700_000)") == [
        {"held": False, "points": [[0, 0], [3_600_000, 0], [3_600_000, 1], [3_700_000, 1]]},
    ]


async def test_a_number_that_did_not_come_for_long_is_held_and_not_slanted(call: Call) -> None:
    rows = [(0, 1.0, "good"), (1, 1.0, "good"), (2, 1.0, "good"), (100, 5.0, "good")]
    assert await call("series", f"{series(rows)}.polylines(0, 101_000)") == [
        {"held": False, "points": [[0, 1], [1000, 1], [2000, 1]]},
        {"held": True, "points": [[2000, 1], [100_000, 1], [100_000, 5]]},
        {"held": False, "points": [[100_000, 5], [101_000, 5]]},
    ]


async def test_the_same_time_again_replaces_and_an_older_one_is_left_out(call: Call) -> None:
    rows = [(5, 1.0, "good"), (5, 1.0, "uncertain"), (4, 7.0, "good")]
    assert await call("series", f"{series(rows)}.rowAt(9000)") == {
        "time": 5000,
        "value": 1,
        "low": 1,
        "high": 1,
        "state": "uncertain",
        "width": 0,
    }
    assert await call("series", f"{series(rows)}.length") == 1
    assert await call("series", f"{series(rows)}.rowAt(4999)") is None


async def test_what_stood_at_a_time_is_not_forgotten_with_what_was_before(call: Call) -> None:
    rows = [(second, float(second), "good") for second in range(10)]
    kept = f"(() => {{ const s = {series(rows)}; s.forget(4500); return s.time; }})()"
    assert await call("series", kept) == [4000, 5000, 6000, 7000, 8000, 9000]


BUCKETS: Final = """[
    {timestamp: '2026-01-05T06:00:00Z', count: 4, good: 4, minimum: 1, maximum: 9, mean: 5, last: 2},
    {timestamp: '2026-01-05T06:01:00Z', count: 4, good: 0, minimum: null, maximum: null, mean: null, last: null},
    {timestamp: '2026-01-05T06:02:00Z', count: 4, good: 1, minimum: 3, maximum: 3, mean: 3, last: 3},
]"""


async def test_means_stand_in_the_middle_of_their_buckets_and_gaps_stay_gaps(call: Call) -> None:
    filled = f"(() => {{ const s = new m.Series(false); s.appendBuckets({BUCKETS}, 60_000); return s; }})()"
    start = await call("series", "Date.parse('2026-01-05T06:00:00Z')")
    lines = await call("series", f"{filled}.polylines(0, {start} + 180_000)")
    assert [[(time - start, value) for time, value in line["points"]] for line in lines] == [
        [(30_000, 5), (90_000, 5)],
        [(150_000, 3), (180_000, 3)],
    ]
    assert await call("series", f"{filled}.extent(0)") == [1, 9]
    troubles = await call("series", f"{filled}.troubles(0, {start} + 180_000)")
    assert [(trouble["state"], trouble["start"] - start) for trouble in troubles] == [
        ("bad", 60_000),
        ("uncertain", 120_000),
    ]


async def test_history_goes_before_what_has_come_meanwhile(call: Call) -> None:
    """The last reading of history came by the stream as well, and must not be there twice."""
    joined = f"""(() => {{
        const history = {series([(0, 1.0, "good"), (1, 2.0, "good"), (2, 3.0, "good")])};
        history.appendNewer({series([(2, 3.0, "good"), (3, 4.0, "good")])});
        return [history.time, history.value];
    }})()"""
    assert await call("series", joined) == [[0, 1000, 2000, 3000], [1, 2, 3, 4]]


# --- spark.js -----------------------------------------------------------------------------


async def test_a_sparkline_keeps_every_extreme_of_many_points(call: Call) -> None:
    """One spike up and one down in ten thousand samples: the path touches both edges of its box."""
    samples = "Array.from({length: 10_000}, (_, i) => i === 1234 ? 50 : i === 4321 ? -50 : Math.sin(i))"
    path = await call("spark", f"m.waveformPath({samples})")
    heights = [float(point.split(" ")[1]) for point in path.replace("M", "L").split("L")[1:]]
    assert (min(heights), max(heights)) == (2.0, 22.0)
    assert len(heights) < 300


@pytest.mark.parametrize("value", [0, -5.5, 2**64, 1e-300])
async def test_a_sparkline_of_a_constant_is_level_and_in_the_middle(call: Call, value: float) -> None:
    drawn = f"""import('/series.js').then(({{ Series }}) => {{
        const constant = new Series(false);
        constant.append(0, {value}, 'good');
        return m.seriesPath(constant, 0, 1000);
    }})"""
    assert await call("spark", drawn) == "M0.0 12.0L120.0 12.0"


# --- plant.js -----------------------------------------------------------------------------


async def test_an_asset_is_as_bad_as_the_worst_below_it(call: Call) -> None:
    """After a thousand random readings the counts are those of counting anew."""
    differences = """(() => {
        let seed = 1;
        const random = (n) => (seed = (seed * 48271) % 2147483647) % n;
        const infos = ['a', 'a/b', 'a/b/c', 'a/d', 'e'].flatMap((asset) =>
            [0, 1, 2].map((i) => ({ path: `${asset}/t${i}`, asset, name: `t${i}` })));
        const plant = new m.Plant(infos);
        const reading = { value: 1, timestamp: '2026-01-05T06:00:00Z' };
        for (let i = 0; i < 1000; i++) {
            const quality = ['good', 'uncertain', 'bad'][random(3)];
            plant.apply([{ ...reading, path: infos[random(infos.length)].path, quality }]);
        }
        return plant.assets.flatMap((asset) => {
            const tags = infos.map(({ path }) => plant.tag(path));
            const below = tags.filter(({ path }) => path.startsWith(asset.path + '/'));
            const counted = (state) => below.filter((tag) => tag.state === state).length;
            return m.STATES.filter((state) => asset.counts[state] !== counted(state));
        });
    })()"""
    assert await call("plant", differences) == []


async def test_waiting_for_the_first_value_is_no_fault_and_an_alarm_counts_up_to_the_top(call: Call) -> None:
    found = """(() => {
        const plant = new m.Plant([{ path: 'a/b/_alarm/x', asset: 'a/b', name: '_alarm/x' }]);
        const [time, tag] = ['2026-01-05T06:00:00Z', plant.tag('a/b/_alarm/x')];
        const seen = [];
        for (const reading of [
            { value: null, quality: 'bad', reason: 'BadWaitingForInitialData' },
            { value: true, quality: 'good' },
            { value: false, quality: 'good' },
            { value: null, quality: 'bad', reason: 'BadTimeout' },
        ]) {
            plant.apply([{ path: tag.path, timestamp: time, ...reading }]);
            seen.push([plant.asset('a').state, plant.asset('a').activeAlarms, plant.activeAlarms.length]);
        }
        return seen;
    })()"""
    assert await call("plant", found) == [["waiting", 0, 0], ["good", 1, 1], ["good", 0, 0], ["bad", 0, 0]]


# --- choice.js ----------------------------------------------------------------------------


async def test_what_is_chosen_is_found_again_in_the_address(call: Call) -> None:
    chosen = """(() => {
        m.choose('acme/dresden/press', ['acme/dresden/press/a', 'acme/dresden/press/_alarm/b']);
        m.refine({ range: '8h' });
        return [location.hash, m.read()];
    })()"""
    assert await call("choice", chosen) == [
        "#acme/dresden/press?trend=acme/dresden/press/a,acme/dresden/press/_alarm/b&range=8h",
        {
            "asset": "acme/dresden/press",
            "trend": ["acme/dresden/press/a", "acme/dresden/press/_alarm/b"],
            "range": "8h",
        },
    ]
    nonsense = "(() => { history.replaceState(null, '', '#?range=9y&trend='); return m.read(); })()"
    assert await call("choice", nonsense) == {"asset": "", "trend": [], "range": "10min"}


# --- upkeep.js ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("session", "may"),
    [
        ("null", False),
        ("{ role: '', scopes: null, tags: [] }", False),
        ("{ role: 'viewer', scopes: null, tags: [] }", False),
        ("{ role: 'operator', scopes: null, tags: [] }", True),
        ("{ role: 'admin', scopes: ['read'], tags: [] }", False),
        ("{ role: 'engineer', scopes: ['read', 'write'], tags: [] }", True),
        ("{ role: 'operator', scopes: null, tags: ['*/flow'] }", False),
    ],
)
async def test_only_who_may_rate_is_offered_it(call: Call, session: str, may: bool) -> None:
    assert await call("upkeep", f"m.mayRate({session})") is may


async def test_the_worst_machine_comes_first_and_the_unknown_last(call: Call) -> None:
    machines = "[['a', null, 0], ['b', 90, 0], ['c', 60, 1], ['d', 20, 0], ['e', 20, 0]]"
    made = f"{machines}.map(([asset, health, n]) => ({{ asset, health, advices: Array(n).fill(0) }}))"
    assert await call("upkeep", f"{made}.sort(m.worstFirst).map(({{ asset }}) => asset).join('')") == "cdeba"


async def test_what_is_left_is_said_with_its_range_and_basis_or_not_at_all(call: Call) -> None:
    now = "Date.UTC(2026, 0, 5, 12)"
    life = "{ hours: 12, low: 8, high: 60, until: new Date(Date.UTC(2026, 0, 6)).toISOString(), basis: 'trend' }"
    told = await call("upkeep", f"m.left({life}, {now})")
    assert told.startswith("12 h left (8 h to 2 d), until ")
    assert told.endswith(", by trend")
    assert await call("upkeep", f"m.left(null, {now}) + m.left({{ ...{life}, hours: null }}, {now})") == ""
