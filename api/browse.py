"""What there is: assets, tags, devices."""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, Field

from api.plant import Device, Plant
from api.problems import ANSWERS
from gateway.model import Tag
from gateway.payload import describe, timestamp


class TagInfo(BaseModel):
    """What a tag is; keys that are not known are left out."""

    path: str = Field(examples=["acme/dresden/packaging/line1/filler/temperature"])
    asset: str
    name: str
    unit: str = Field(default="", description="UCUM", examples=["Cel"])
    description: str = ""
    datatype: str = Field(default="", description="event if its values tell what happened", examples=["event"])
    range: list[float] = Field(default=[], description="low and high end of the instrument")
    deadband: float = 0.0
    labels: dict[int, str] = Field(default={}, description="what the numbers of a state mean")
    writable: bool = Field(default=False, description="whether it may be written, by those who have the right")
    limits: list[float] = Field(default=[], description="low and high end of what may be written")
    device: str = Field(default="", description="the device it is read from; derived tags have none")
    source: str = Field(default="", description="where the device has it", examples=["input:52 float32 ABCD"])


class Asset(BaseModel):
    """A place in the plant, with what is below it."""

    path: str
    name: str
    tags: list[str] = Field(description="names of the tags of the asset itself")
    assets: list["Asset"] = []


class DeviceInfo(BaseModel):
    """A device and how it is doing."""

    name: str
    protocol: str
    address: str = Field(description="without user and password")
    asset: str
    tags: int
    state: str = Field(description="connecting, up, down or stopped")
    since: str | None = Field(description="when it entered that state")
    last: str | None = Field(description="when it was heard last")
    error: str = Field(description="what ended its last connection")
    counts: dict[str, int]
    learned: dict[str, Any] = Field(
        description="what was found out about it: limits, what it refuses, requests per second that its tags need, how"
        " long each takes",
    )


def router(plant: Plant) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["plant"], responses=ANSWERS)

    @routes.get("/assets", operation_id="list_assets")
    async def assets() -> list[Asset]:
        """Return the plant as a tree, from the enterprise down."""
        return tree(plant.catalog[number] for number in plant.catalog)

    @routes.get("/assets/{path:path}", operation_id="get_asset")
    async def asset(path: str) -> Asset:
        """Return one asset with everything below it."""
        for one in _all(tree(plant.catalog[number] for number in plant.catalog)):
            if one.path in (path, f"{plant.site}/{path}"):
                return one
        raise HTTPException(404, f"there is no asset {path}")

    @routes.get("/tags", operation_id="list_tags")
    async def tags(
        match: str = Query(default="*", description="glob over the path, such as */line1/*temperature"),
        limit: int = Query(default=1000, ge=1, le=10_000),
        cursor: str = Query(default="", description="`next` of the page before"),
    ) -> dict[str, Any]:
        """Return tags by path, a page at a time."""
        paths = sorted(
            p for p in (plant.catalog[n].path for n in plant.catalog) if fnmatchcase(p, match) and p > cursor
        )
        page = paths[:limit]
        found = [info(plant.catalog[plant.catalog.number(path)]).model_dump(exclude_defaults=True) for path in page]
        return {"tags": found, "next": page[-1] if len(paths) > limit else None}

    @routes.get("/tags/{path:path}", operation_id="get_tag", response_model_exclude_defaults=True)
    async def tag(path: str) -> TagInfo:
        """Return what a tag is."""
        return info(plant.catalog[number_of(plant, path)])

    @routes.get("/devices", operation_id="list_devices")
    async def devices() -> list[DeviceInfo]:
        """Return every device and how it is doing."""
        return [_device(device) for device in plant.devices()]

    @routes.get("/devices/{name}", operation_id="get_device")
    async def device(name: str) -> DeviceInfo:
        """Return one device and how it is doing."""
        for one in plant.devices():
            if one.name == name:
                return _device(one)
        raise HTTPException(404, f"there is no device {name}")

    return routes


def number_of(plant: Plant, path: str) -> int:
    """Return the number of a tag, whose path may begin below the site. Raises HTTPException 404."""
    for candidate in (path, f"{plant.site}/{path}"):
        if candidate in plant.catalog:
            return plant.catalog.number(candidate)
    raise HTTPException(404, f"there is no tag {path}")


def info(tag: Tag) -> TagInfo:
    """Return what a tag is."""
    return TagInfo(path=tag.path, asset=tag.asset, name=tag.name, **describe(tag))


def tree(tags: Iterable[Tag]) -> list[Asset]:
    """Return the assets that these tags make up, as a forest, ordered by path."""
    known: dict[str, Asset] = {}
    roots: list[Asset] = []
    for tag in sorted(tags, key=lambda tag: tag.path):
        siblings = roots
        for path in _prefixes(tag.asset):
            if path not in known:
                known[path] = Asset(path=path, name=path.rpartition("/")[2], tags=[])
                siblings.append(known[path])
            siblings = known[path].assets
        known[tag.asset].tags.append(tag.name)
    return roots


def _all(assets: Iterable[Asset]) -> Iterator[Asset]:
    for asset in assets:
        yield asset
        yield from _all(asset.assets)


def _prefixes(path: str) -> Iterator[str]:
    """a/b/c -> a, a/b, a/b/c"""
    segments = path.split("/")
    return ("/".join(segments[: i + 1]) for i in range(len(segments)))


def _device(device: Device) -> DeviceInfo:
    return DeviceInfo(
        name=device.name,
        protocol=device.protocol,
        address=device.address,
        asset=device.asset,
        tags=device.tags,
        state=device.state,
        since=moment(device.since_ns),
        last=moment(device.last_ns),
        error=device.error,
        counts=dict(device.counts),
        learned=dict(device.learned),
    )


def moment(time_ns: int | None) -> str | None:
    """Return a time as RFC 3339, or None for one that never was."""
    return timestamp(time_ns) if time_ns else None
