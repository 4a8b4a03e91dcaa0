"""The machines on the live page: health, advice, the picture of why, and what people say of it."""

import json
from pathlib import Path

from tests.browser.chromium import chromium
from tests.browser.floor import floor
from tests.browser.look import LIVE, METER, part, text
from tests.integration.process import alive, write

OPERATOR, VIEWER = "operator-0123456789", "viewer-0123456789"
SIGNALS = {
    "well": {"type": "health", "asset": "utilities/meter", "signals": ["leak"]},
    "tips": {"type": "advice", "asset": "utilities/meter", "signals": ["leak"], "gather": 0},
}
RATING = "document.querySelector('[data-part=rating]')"
PRESSED = f"[...{RATING}.children].map((button) => button.ariaPressed)"


async def test_a_machine_that_is_not_well_is_shown_explained_and_its_advice_is_rated(tmp_path: Path) -> None:
    tokens = {"anna": {"token": OPERATOR, "role": "operator"}, "gast": {"token": VIEWER, "role": "viewer"}}
    async with floor(tmp_path, tokens=tokens) as plant:
        keys = json.loads(plant.config.read_text(encoding="utf-8"))
        keys["signals"] |= SIGNALS
        async with alive(write(plant.config, keys)), chromium(tmp_path / "browser") as page:
            await page.open(f"{plant.url}/style.css")
            await page.run(f"sessionStorage.setItem('gateway-token', '{OPERATOR}')")
            await page.open(f"{plant.url}/")
            await page.until(LIVE)
            await page.until(f"{text('upkeepword')} === 'machines well'")
            plant.meter.holding[0] = 900
            await page.until(f"{text('upkeepword')} === '1 machine not well, 1 finding'")
            await page.run(f"{part('upkeep')}.click()")
            row = f"{part('machines')}.firstElementChild"
            assert await page.run(f"{row}.dataset.asset") == "acme/dresden/utilities/meter"
            assert await page.run(f"['alert', 'alarm'].includes({row}.querySelector('[data-part=word]').textContent)")
            health = await page.run(f"Number({part('bar')}.ariaValueNow)")
            assert health <= 50
            assert await page.run(f"{part('fill')}.style.width") == f"{health:g}%"
            assert "leak" in await page.run(text("sentence"))

            assert await page.run(PRESSED) == ["false"] * 3
            await page.run(f"{RATING}.children[2].click()")
            await page.until(f"{text('said')}.endsWith('said to be wrong by anna')")
            assert await page.run(PRESSED) == ["true", "false", "true"]

            await page.run(f"{part('why')}.click()")
            await page.until(f"{part('picture')}.naturalWidth > 0")
            assert await page.run(f"decodeURIComponent({part('picture')}.src).includes('health')")

            await page.run(f"sessionStorage.setItem('gateway-token', '{VIEWER}')")
            await page.until(f"{RATING}.hidden")
            await page.run(f"{row}.querySelector('[data-part=name]').click()")
            await page.until(f"location.hash === '{METER}'")
            assert not await page.run(f"{part('upkeeppanel')}.matches(':popover-open')")
            assert [one for one in page.complaints if "favicon.ico" not in one] == []
