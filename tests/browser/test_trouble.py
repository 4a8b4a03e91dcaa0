"""The live page when something is wrong: a device, the gateway, the right to look, sheer size."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import argon2
from asyncua import ua

from tests.browser.chromium import Page, chromium
from tests.browser.floor import Floor, floor
from tests.browser.look import LIVE, METER, PRESS, ROWS, branch, cell, ink, part, text
from tests.integration.process import GatewayProcess, alive, write
from tests.servers import free_port, modbus

ANSWERED = "performance.getEntriesByType('resource').filter((each) => each.name.includes('/history/')).length"
WORDS = "[...document.querySelectorAll('[data-part=body] [data-part=word]')].map((each) => each.textContent)"


@asynccontextmanager
async def looking(folder: Path, where: str) -> AsyncIterator[tuple[Floor, Page]]:
    """A page that is live, and at the end has not complained."""
    async with floor(folder) as plant, alive(plant.config), chromium(folder / "browser") as page:
        await page.open(f"{plant.url}/{where}")
        await page.until(LIVE)
        yield plant, page
        assert page.complaints == []


async def test_a_device_that_dies_is_bad_everywhere_and_comes_back(tmp_path: Path) -> None:
    async with looking(tmp_path, METER) as (plant, page):
        await page.until(f"{cell('flow', 'value')} === '10'")
        assert await page.run(ink("--bad")) == 0
        plant.meter.holding[0] = 300
        await page.until(f"{cell('flow', 'value')} === '30'")
        await page.until(f"{ink('--line-1')} > 0")

        await plant.meter.stop()
        await page.until(f"{cell('flow', 'word')} === 'bad'")
        assert await page.run(cell("flow", "value")) == "–"
        assert await page.run(cell("flow", "reason")) == "not connected"
        await page.until(f"{branch('utilities/meter')}.ariaLabel.startsWith('meter, 2 bad')")
        await page.until(f"{part('health')}.dataset.state === 'uncertain'")
        await page.run(f"{part('health')}.click()")
        assert await page.run("document.getElementById('health').matches(':popover-open')")
        first = await page.run(f"{part('checks')}.querySelector('tr').innerText")
        assert "warn" in first
        assert "device meter" in first
        assert "Connection refused" in first
        await page.press("Escape")

        await page.until(f"{ink('--bad')} > 0")
        assert await page.run(text("when")) == "now"
        place = f"(({{ right, top }}) => [right - 12, top + 40])({part('canvas')}.getBoundingClientRect())"
        await page.point(*await page.run(place))
        await page.until(f"/^\\d\\d:\\d\\d:\\d\\d$/.test({text('when')})")
        await page.run(f"{part('canvas')}.focus()")
        await page.press("Escape")
        await page.until(f"{text('when')} === 'now'")
        await page.run("document.getElementById('range-1h').click()")
        await page.until("location.hash.endsWith('range=1h')")
        await page.until(f"{ink('--bad')} > 0")
        assert any("bucket=1min" in one.url for one in page.requests)

        # Now there is no value, so what is drawn of it can only come from history.
        await page.open("about:blank")
        await page.open(f"{plant.url}/{METER}")
        await page.until(f"{cell('flow', 'word')} === 'bad'")
        await page.until(f"{ink('--line-1')} > 0")
        await page.until(f"{part('spark')}.getAttribute('d')?.includes('L')")

        plant.meter.holding[0] = 125
        await plant.meter.start()
        await page.until(f"{cell('flow', 'value')} === '12.5'")
        assert await page.run(cell("flow", "word")) == "good"


async def test_an_alarm_is_shown_and_leads_to_its_machine_and_its_evidence(tmp_path: Path) -> None:
    async with looking(tmp_path, PRESS) as (plant, page):
        assert await page.run(text("count")) == "No active alarms"
        await page.run(f"{branch('utilities/meter')}.querySelector('.branch').click()")
        await page.until(f"{cell('leak', 'word')} === 'good'")
        headings = "[...document.querySelectorAll('.heading-row')].map((row) => row.textContent.trim())"
        assert await page.run(headings) == ["Alarms", "Maintenance"]
        await page.run(f"{branch('forming/line2/press')}.querySelector('.branch').click()")
        plant.meter.holding[0] = 900
        await page.until(f"{text('count')} === '1 active alarm'")
        chip = await page.run(f"{part('list')}.querySelector('button').innerText")
        assert "meter" in chip
        assert "leak" in chip
        assert "since" in chip
        assert await page.run(text("news")) == "Alarm: meter leak"
        await page.until(f"{branch('utilities/meter')}.ariaLabel.endsWith('1 alarm')")
        await page.run(f"{part('list')}.querySelector('button').click()")
        await page.until(f"{text('asset')} === 'meter'")
        assert await page.run("location.hash") == f"{METER}?trend=acme/dresden/utilities/meter/_maintenance/leak"


async def test_the_register_lists_an_alarm_which_is_acknowledged_and_shelved(tmp_path: Path) -> None:
    async with floor(tmp_path) as plant, chromium(tmp_path / "browser") as page:
        config = json.loads(plant.config.read_text(encoding="utf-8"))
        config["alarms"] = {"rules": {"flow": {"tag": "utilities/meter/flow", "limits": {"high": 80}, "text": "<b>"}}}
        async with alive(write(plant.config, config)):
            await page.open(f"{plant.url}/{PRESS}")
            await page.until(f"{text('register')} === '0 alarms in the register, 0 to acknowledge'")
            plant.meter.holding[0] = 900
            await page.until(f"{text('register')} === '1 alarm in the register, 1 to acknowledge'")
            await page.run(f"{part('register')}.click()")
            row = f"{part('registered')}.querySelector('tr')"
            assert "<b>" in await page.run(f"{row}.innerText")
            await page.run(f"{row}.querySelector('[data-part=acknowledge]').click()")
            await page.until(f"{row}.innerText.startsWith('acknowledged')")
            assert await page.run(f"{row}.querySelector('[data-part=acknowledge]').hidden")
            await page.run(f"{row}.querySelector('[data-part=shelve]').click()")
            await page.until(f"{row}.innerText.startsWith('shelved')")
            assert await page.run(text("refused")) == ""


async def all_answered(page: Page, gateway: GatewayProcess) -> None:
    """Wait until no question to history is under way for a while: one that has no answer at the end is refused."""
    calm = 0
    while calm < 5:
        answered = await page.run(ANSWERED)
        asked = await asyncio.to_thread(gateway.metric, "gateway_part_questions_total")
        calm = calm + 1 if answered == asked > 0 else 0


async def test_a_gateway_that_goes_away_leaves_nothing_that_looks_live_and_is_found_again(tmp_path: Path) -> None:
    async with floor(tmp_path) as plant, chromium(tmp_path / "browser") as page:
        async with alive(plant.config) as gateway:
            await page.open(f"{plant.url}/{PRESS}")
            await page.until(f"{cell('temperature', 'word')} === 'good'")
            await all_answered(page, gateway)
        await page.until(f"!({LIVE})")
        assert await page.run(text("link")) == "connection lost, retrying"
        assert set(await page.run(WORDS)) == {"not live"}
        assert await page.run("document.title") == "(not live) acme"
        assert await page.run(text("count")) == "No active alarms when last seen"
        await page.until(f"{text('when')}.startsWith('not live since')")

        await plant.press.set("Temperature", ua.Variant(33.25, ua.VariantType.Double))
        config = json.loads(plant.config.read_text(encoding="utf-8"))
        del config["devices"]["press"]["tags"]["recipe"]
        async with alive(write(plant.config, config)):
            await page.until(LIVE)
            await page.until(f"{cell('temperature', 'value')} === '33.25'")
            assert await page.run(cell("recipe", "value")) is None, "the plant has no such tag any more"
            assert await page.run(cell("temperature", "word")) == "good"
            assert await page.run(text("link")) == "live"
            expected = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING")
            assert [one for one in page.complaints if not any(error in one for error in expected)] == []


async def test_a_gateway_that_wants_a_token_is_given_one(tmp_path: Path) -> None:
    token = "a-token-of-this-test"
    give = "document.querySelector('[data-part=token]').value = '%s', document.querySelector('dialog button').click()"
    async with (
        floor(tmp_path, tokens={"viewer": token}) as plant,
        alive(plant.config),
        chromium(tmp_path / "browser") as page,
    ):
        await page.open(f"{plant.url}/{PRESS}")
        await page.until("document.querySelector('dialog').open")
        await page.run(give % "a-wrong-token-of-this-test")
        await page.until(f"document.querySelector('dialog').open && {text('tokenproblem')} !== ''")
        assert await page.run(text("tokenproblem")) == "The gateway does not know this token."
        await page.run(give % token)
        await page.until(LIVE)
        await page.until(f"{cell('temperature', 'value')} === '20.5'")
        assert not await page.run("document.querySelector('dialog').open")
        assert [one for one in page.complaints if "401" not in one] == []
        assert not any(token in one.url for one in page.requests)


async def test_somebody_logs_in(tmp_path: Path) -> None:
    hash = argon2.PasswordHasher(time_cost=1, memory_cost=19_456).hash("correct horse battery")
    fill = "document.querySelector('[data-part=user]').value = 'alice', "
    fill += "document.querySelector('[data-part=token]').value = '%s', document.querySelector('dialog button').click()"
    async with (
        floor(tmp_path, users={"alice": {"password": hash}}) as plant,
        alive(plant.config),
        chromium(tmp_path / "browser") as page,
    ):
        await page.open(f"{plant.url}/{PRESS}")
        await page.until("document.querySelector('dialog').open")
        await page.run(fill % "battery horse correct")
        await page.until(f"document.querySelector('dialog').open && {text('tokenproblem')} !== ''")
        assert await page.run(text("tokenproblem")) == "the user or the password is wrong"
        await page.run(fill % "correct horse battery")
        await page.until(LIVE)
        assert not await page.run("document.querySelector('dialog').open")
        assert [one for one in page.complaints if "401" not in one] == []


async def test_of_thousands_of_tags_only_those_on_the_screen_exist(tmp_path: Path) -> None:
    tags = {f"register_{i:04}": {"register": f"holding:{i}"} for i in range(1900)}
    async with modbus() as meter, chromium(tmp_path / "browser") as page:
        meter.holding[1899] = 4711
        config = {
            "site": {"enterprise": "acme", "site": "dresden"},
            "data_dir": str(tmp_path / "data"),
            "bus": {"listen": f"127.0.0.1:{free_port()}"},
            "api": {"listen": "127.0.0.1:0"},
            "devices": {"meter": {"connect": f"modbus://127.0.0.1:{meter.port}", "asset": "hall/meter", "tags": tags}},
        }
        async with alive(write(tmp_path / "plant.yaml", config)) as gateway:
            await page.open(gateway.ready["api"])
            await page.until(f"{cell('register_0000', 'word')} === 'good'")
            assert await page.run(text("summary")) == "1900 tags"
            assert await page.run("document.querySelector('[aria-rowcount]').getAttribute('aria-rowcount')") == "1901"
            assert await page.run(f"{ROWS}.length") < 60
            await page.run(f"{part('scroller')}.scrollTop = 1e9")
            await page.until(f"{cell('register_1899', 'value')} === '4711'")
            assert await page.run(f"{ROWS}.length") < 60
            await page.run(f"{part('filter')}.value = '_018', {part('filter')}.dispatchEvent(new Event('input'))")
            await page.until(f"{text('summary')} === '10 of 1900 tags'")
            names = f"[...{ROWS}].map((row) => row.querySelector('[data-part=name]').textContent)"
            assert await page.run(names) == [f"register_{i:04}" for i in range(180, 190)]
            assert page.complaints == []
