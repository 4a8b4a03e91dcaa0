"""What is to be seen on the page, as JavaScript expressions for `Page.run` and `Page.until`."""

from typing import Final

PRESS: Final = "#acme/dresden/forming/line2/press"
METER: Final = "#acme/dresden/utilities/meter"
LIVE: Final = "document.body.dataset.live === 'true'"
ROWS: Final = "document.querySelectorAll('[data-part=body] tr')"
LEGEND: Final = "document.querySelectorAll('[data-part=legend] li')"


def part(name: str) -> str:
    """A part of the page, by what it says it is."""
    return f"document.querySelector('[data-part={name}]')"


def text(name: str) -> str:
    """The text of a part of the page."""
    return f"{part(name)}.textContent"


def cell(tag: str, name: str) -> str:
    """The text of a cell in the row of a tag; undefined if there is no such row."""
    is_it = f"row.querySelector('[data-part=name]')?.textContent === '{tag}'"
    return f"[...{ROWS}].find((row) => {is_it})?.querySelector('[data-part={name}]').textContent"


def branch(asset: str) -> str:
    """The item of an asset in the tree."""
    return f"document.querySelector('[role=treeitem][data-path=\"acme/dresden/{asset}\"]')"


def ink(colour: str) -> str:
    """How many pixels of the trend have the colour of a custom property, nearly."""
    return f"""(() => {{
        const trend = document.querySelector('canvas');
        const size = {{ width: trend.width + 1, height: trend.height }};
        const copy = Object.assign(document.createElement('canvas'), size);
        const pen = copy.getContext('2d', {{ willReadFrequently: true }});
        pen.drawImage(trend, 1, 0);
        pen.fillStyle = getComputedStyle(trend).getPropertyValue('{colour}');
        pen.fillRect(0, 0, 1, 1);
        const {{ data }} = pen.getImageData(0, 0, size.width, size.height);
        let n = -1; // the pixel that the colour is known by
        for (let i = 0; i < data.length; i += 4)
            if (data[i + 3] > 200 && [0, 1, 2].every((k) => Math.abs(data[i + k] - data[k]) < 24)) n += 1;
        return n;
    }})()"""
