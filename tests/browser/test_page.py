"""The live page on a real gateway with real devices, all of them well: what it shows and how it is worked.

The tests share one plant and leave it as they found it. What happens in trouble is in test_trouble.py.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
import pytest_asyncio
from asyncua import ua

from tests.browser.chromium import Page, chromium
from tests.browser.floor import Floor, floor
from tests.browser.look import LEGEND, LIVE, METER, PRESS, branch, cell, ink, part, text
from tests.integration.process import alive

pytestmark = pytest.mark.asyncio(loop_scope="module")

Look = Callable[[str], Awaitable[Page]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Floor, Page]]:
    folder = tmp_path_factory.mktemp("page")
    async with floor(folder) as plant, alive(plant.config), chromium(folder / "browser") as page:
        yield plant, page


@pytest.fixture
def plant(shared: tuple[Floor, Page]) -> Floor:
    return shared[0]


@pytest_asyncio.fixture(loop_scope="module")
async def look(shared: tuple[Floor, Page]) -> AsyncIterator[Look]:
    """Open the page at an address and wait until it is live.

    Whatever a test does, nothing that the page asks for leaves this machine, and nothing stands on its console.
    """
    plant, page = shared

    async def open_at(where: str) -> Page:
        await page.open("about:blank")  # an address that differs in its hash alone would load nothing
        await page.resize(1440, 900)
        await page.open(f"{plant.url}/{where}")
        await page.until(LIVE)
        return page

    yield open_at
    elsewhere = [one.url for one in page.requests if not one.url.startswith((plant.url + "/", "about:"))]
    complaints = list(page.complaints)
    page.complaints.clear()
    assert elsewhere == []
    assert complaints == []


async def test_the_plant_and_its_values_are_shown_and_follow_the_devices(plant: Floor, look: Look) -> None:
    page = await look(PRESS)
    await page.until(f"{cell('temperature', 'value')} === '20.5'")
    assert await page.run(cell("temperature", "unit")) == "°C"
    assert await page.run(cell("temperature", "word")) == "good"
    assert await page.run(cell("state", "value")) == "stopping (7)"
    assert await page.run(cell("total", "value")) == "18446744073709551615"
    assert await page.run(cell("running", "value")) == "true"
    assert await page.run(cell("recipe", "value")) == "Grüße"
    assert await page.run(cell("vibration", "value")) == "3 samples"
    levels = "[...document.querySelectorAll('[role=treeitem]')].map((item) => [item.ariaLevel, item.dataset.path])"
    assert await page.run(levels) == [
        ["1", "acme"],
        ["2", "acme/dresden"],
        ["3", "acme/dresden/forming"],
        ["4", "acme/dresden/forming/line2"],
        ["5", "acme/dresden/forming/line2/press"],
        ["3", "acme/dresden/utilities"],
        ["4", "acme/dresden/utilities/meter"],
    ]
    await page.until(f"{text('gateway')} === 'gw7'")
    assert await page.run(text("devices")) == "2 devices"
    assert await page.run(text("tags")) == "13 tags"

    await plant.press.set("Temperature", ua.Variant(21.75, ua.VariantType.Double))
    await plant.press.set("Count", ua.Variant(6, ua.VariantType.UInt32))
    await page.until(f"{cell('temperature', 'value')} === '21.75'")
    await page.until(f"{cell('state', 'value')} === 'execute (6)'")
    await plant.press.set("Temperature", ua.Variant(20.5, ua.VariantType.Double))
    await plant.press.set("Count", ua.Variant(7, ua.VariantType.UInt32))


async def test_a_stream_that_breaks_goes_on_after_its_last_event(look: Look) -> None:
    page = await look(PRESS)
    await page.run("window.dispatchEvent(new Event('pagehide'))")
    await page.until(f"!({LIVE})")
    await page.until(LIVE)
    first, again = [one.headers for one in page.requests if one.url.endswith("/stream")][-2:]
    assert "Last-Event-ID" not in first
    assert re.fullmatch(r"\d+-\d+", again["Last-Event-ID"])


async def test_what_comes_from_a_device_is_text_and_never_markup(plant: Floor, look: Look) -> None:
    evil = "<img src=x onerror=\"document.title='taken'\">"
    page = await look(PRESS)
    await plant.press.set("Recipe", ua.Variant(evil, ua.VariantType.String))
    await page.until(f"{cell('recipe', 'value')}?.startsWith('<img')")
    assert await page.run(cell("recipe", "value")) == evil
    assert await page.run("document.querySelectorAll('img, [data-part=body] b, [data-part=facts] b').length") == 0
    assert await page.run("document.title") == "acme"
    await plant.press.set("Recipe", ua.Variant("Grüße", ua.VariantType.String))


async def test_one_bad_tag_of_a_good_device_is_shown_as_that(look: Look) -> None:
    page = await look("#acme/dresden/utilities/meter")
    await page.until(f"{cell('missing', 'word')} === 'bad'")
    assert await page.run(cell("missing", "value")) == "–"
    assert await page.run(cell("flow", "word")) == "good"
    await page.until(f"{branch('utilities/meter')}.ariaLabel === 'meter, 1 bad'")
    assert await page.run(f"{branch('utilities')}.ariaLabel") == "utilities, 1 bad"
    assert await page.run(f"{branch('forming/line2/press')}.ariaLabel") == "press, good"


async def test_only_what_is_not_good_is_shown_if_that_is_wanted(look: Look) -> None:
    page = await look("#acme")
    await page.until(f"{cell('missing', 'word')} === 'bad' && {cell('leak', 'word')} === 'good'")
    await page.run(f"{part('troubled')}.click()")
    await page.until(f"{text('summary')} === '1 of 13 tags'")
    assert await page.run(f"{part('body')}.innerText.includes('missing')")
    assert await page.run(cell("flow", "word")) is None


async def test_a_waveform_is_drawn_over_its_samples(look: Look) -> None:
    page = await look(f"{PRESS}?trend=acme/dresden/forming/line2/press/vibration")
    await page.until(f"{ink('--line-1')} > 100")
    assert await page.run(f"{part('legend')}.innerText.includes('3 samples')")
    assert not any("/history/acme/dresden/forming/line2/press/vibration" in one.url for one in page.requests)


async def test_tags_are_added_to_the_trend_and_taken_out_of_it(look: Look) -> None:
    page = await look(PRESS)
    await page.until(f"{LEGEND}.length === 1")
    await page.run("document.querySelector('[aria-label=\"running in the trend\"]').click()")
    await page.until(f"{LEGEND}.length === 2")
    await page.until(f"{ink('--line-1')} > 0 && {ink('--line-2')} > 0")
    assert await page.run("location.hash.split('?')[1]") == (
        "trend=acme/dresden/forming/line2/press/temperature,acme/dresden/forming/line2/press/running"
    )
    await page.run("document.querySelector('[aria-label=\"take press/temperature out of the trend\"]').click()")
    await page.until(f"{LEGEND}.length === 1")
    assert await page.run("document.querySelector('[aria-label=\"running in the trend\"]').checked")
    await page.open(await page.run("location.origin + '/?again' + location.hash"))
    await page.until(f"{part('legend')}.innerText.includes('running')")


async def test_the_tree_is_worked_with_the_keyboard(look: Look) -> None:
    focus = "document.activeElement.dataset.path"
    page = await look(PRESS)
    await page.run(f"{branch('forming/line2/press')}.focus()")
    await page.press("ArrowDown")
    assert await page.run(focus) == "acme/dresden/utilities"
    await page.press("ArrowLeft")
    assert await page.run("document.activeElement.ariaExpanded") == "false"
    await page.press("ArrowDown")
    assert await page.run(focus) == "acme/dresden/utilities", "what is closed cannot be reached"
    assert await page.run("document.activeElement.tabIndex") == 0
    await page.press("ArrowRight")
    await page.press("ArrowRight")
    assert await page.run(focus) == "acme/dresden/utilities/meter"
    await page.press("Enter")
    await page.until(f"{text('asset')} === 'meter'")
    assert await page.run("document.activeElement.ariaSelected") == "true"
    await page.press("Home")
    assert await page.run(focus) == "acme"
    assert await page.run("document.querySelectorAll('[role=tree] [tabindex=\"0\"]').length") == 1


async def test_a_telephone_shows_all_of_it_without_scrolling_sideways(look: Look) -> None:
    page = await look(PRESS)
    await page.resize(360, 740)
    await page.until(f"{part('drawer')}.open === false")
    await page.until(f"{cell('temperature', 'value')} === '20.5'")
    assert await page.run("document.documentElement.scrollWidth <= innerWidth")
    cells = "[...document.querySelectorAll('[data-part=body] tr > *')]"
    assert await page.run(f"{cells}.every((cell) => cell.getBoundingClientRect().right <= innerWidth)")
    await page.resize(1440, 900)
    await page.until(f"{part('drawer')}.open")


async def test_colours_are_legible_in_both_schemes(look: Look) -> None:
    """WCAG 2.2, 1.4.3: text has a contrast of 4.5 to what it stands on; 1.4.11: a line has 3."""
    contrast = """(() => {
        const pen = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
        const style = getComputedStyle(document.body);
        const light = (name) => {
            pen.fillStyle = style.getPropertyValue(name);
            pen.fillRect(0, 0, 1, 1);
            const [r, g, b] = [...pen.getImageData(0, 0, 1, 1).data].map((c) => c / 255)
                .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
        };
        const ratio = (one, other) => Math.max(light(one), light(other)) / Math.min(light(one), light(other));
        return Object.fromEntries(%s.map((name) => [name, ratio(name, '--panel')]));
    })()"""
    words = ["--text", "--soft", "--accent", "--uncertain", "--bad", "--alarm"]
    lines = ["--good", "--waiting", "--line-1", "--line-2", "--line-3", "--line-4"]
    page = await look(PRESS)
    backgrounds = set()
    for scheme in ("light", "dark"):
        await page.resize(1440, 900, scheme=scheme)
        backgrounds.add(await page.run("getComputedStyle(document.body).backgroundColor"))
        assert {name: x for name, x in (await page.run(contrast % words)).items() if x < 4.5} == {}
        assert {name: x for name, x in (await page.run(contrast % lines)).items() if x < 3} == {}
    assert len(backgrounds) == 2


async def test_a_work_unit_shows_its_order_and_takes_the_reason_of_a_stop(plant: Floor, look: Look) -> None:
    made = [{"MaterialDefinitionID": ["door"], "Quantity": [{"QuantityString": "40"}]}]
    order = {"ID": "JO-1", "HierarchyScope": {"EquipmentID": "press"}, "Command": "Start", "MaterialRequirement": made}
    page = await look(PRESS)
    async with httpx.AsyncClient(base_url=f"{plant.url}/api/v1") as http:
        for path, wish in (("orders", order), ("orders/JO-1/commands", {"Command": "Stop"})):
            answer = await http.post(path, json=wish, headers={"Idempotency-Key": path})
            assert answer.is_success, answer.text
        await page.until(f"{part('order')}?.textContent === 'JO-1' && {text('orderstate')} === 'completed'")
        row = "document.querySelector('[data-part=units] tr').innerText.split(/\\s+/).join(' ')"
        assert (await page.run(row)).startswith("press down JO-1 completed 0 of 40 good, 0 scrap ")
        for figure in ("availability", "coverage"):
            assert re.fullmatch(r"\d+\.\d %", await page.run(text(figure)))
        await page.run(f"{part('code')}.value = 'TOOL-BROKEN'; {part('code')}.form.requestSubmit()")
        await page.until(f"{text('said')} === 'saved'")
        stops = (await http.get("odata/Downtime")).json()["value"]
    assert [(stop["Kind"], stop["Reason"]) for stop in stops if stop["End"] is None] == [("down", "TOOL-BROKEN")]
    await look(METER)
    await page.until(f"{part('production')}.hidden")
