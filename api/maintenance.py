"""How machines are, over HTTP: their health and why, as data and as a picture. See docs/maintenance.md."""

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query, Response
from pydantic import BaseModel, Field

from api.advice import AdviceInfo, Shares, info
from api.condition import Conditions, Machine
from api.drawing import drawn
from api.evidence import evidence
from api.plant import Plant
from api.problems import ANSWERS
from api.times import MaybeMoment

_OPEN_MAX = 1_000
_EVER_NS = 2**63 - 1
_asset = attrgetter("asset")


class Life(BaseModel):
    """Remaining useful life with an interval of 90 %; without hours as long as nothing honest can be said."""

    basis: str = Field(description="what it is read off: trend, limit, ... or none", examples=["trend"])
    hours: float | None
    low: float | None = Field(description="5 % have less")
    high: float | None = Field(description="5 % have more")
    until: str | None = Field(description="when the hours are over")


class MachineInfo(BaseModel):
    """How a machine is."""

    asset: str = Field(description="path", examples=["acme/dresden/utilities/pump1"])
    health: float | None = Field(description="0 to 100; 50 is the limit of a signal, less than that only in an alarm")
    state: str = Field(description="off, learning, normal, alert, alarm; unknown if nothing was told")
    status: str | None = Field(description="the state by NAMUR NE 107", examples=["MAINTENANCE_REQUIRED"])
    since: str | None = Field(default=None, description="when it entered that state")
    confidence: float | None = Field(default=None, description="share of the signals that know what is usual")
    shares: Shares = {}
    signals: list[str] = Field(default=[], description="those in alarm")
    time: str | None = Field(description="when that was told")
    life: Life | None = Field(description="null if nobody tells")
    advices: list[AdviceInfo] = Field(description="those that are not cleared, newest first")


class Contribution(BaseModel):
    """What one signal says of a machine."""

    signal: str
    alarm: bool | None
    ratio: float | None = Field(description="1 is its limit")
    shares: Shares
    evidence: dict[str, Any] = Field(description="what each tag is, should be, and may be")


class Series(BaseModel):
    """Good readings of a tag, chosen so that a picture of them is right; empty without a history."""

    tag: str = Field(description="path")
    unit: str
    share: float | None = Field(description="of the cause; null for the health itself")
    expected: float | None = Field(description="what it should be now")
    allowed: float | None = Field(description="how far it may be from that")
    timestamp: list[str]
    value: list[float]


class Window(BaseModel):
    """The time [from, to) that the evidence is of, and the tags with the largest shares in it."""

    start: str = Field(serialization_alias="from")
    end: str = Field(serialization_alias="to")
    series: list[Series]


class Line(BaseModel):
    """What the damage of one part of a bearing is in a spectrum."""

    hertz: float
    amplitude: float = Field(description="m/s2")
    harmonics: int
    sidebands: int


class SpectrumInfo(BaseModel):
    """The latest spectrum of the squared envelope of a vibration, and the lines of its bearing, if that is known."""

    signal: str
    tag: str = Field(description="path of the waveform")
    timestamp: str
    step: float = Field(description="hertz from one amplitude to the next")
    amplitude: list[float] = Field(description="(m/s2)^2; the largest of those that lie together")
    shaft: float | None = Field(description="turns per second")
    lines: dict[str, Line] = Field(description="bpfo outer race, bpfi inner race, bsf element, ftf cage")


class Detail(MachineInfo):
    """How a machine is, and why that is said."""

    contributions: list[Contribution]
    window: Window
    spectra: list[SpectrumInfo]


From = Annotated[MaybeMoment, Query(alias="from", description="begin of the window; so that it shows the beginning")]
To = Annotated[MaybeMoment, Query(alias="to", description="its end; now if absent")]
Asset = Annotated[str, Path(description="path of the machine, with or without the site")]


def router(plant: Plant) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["maintenance"], responses=ANSWERS)
    conditions = Conditions(plant)

    async def advised(asset: str = "") -> Sequence[AdviceInfo]:
        found = await plant.ratings.advices(start_ns=0, end_ns=_EVER_NS, asset=asset, state="open", rows_max=_OPEN_MAX)
        return [info(one) for one in found if one["tag"] in plant.catalog]

    def known(asset: str) -> Machine:
        for path in (asset, f"{plant.site}/{asset}"):
            if path in conditions.machines:
                return conditions.machines[path]
        raise HTTPException(404, f"there is no asset {asset} with a signal of health, life or advice")

    async def detail(asset: str, start: str, end: str) -> Detail:
        machine = known(asset)
        (condition,) = await conditions.of([machine])
        found = await evidence(plant, conditions, machine, condition, (start, end))
        return Detail(
            **condition, **found, advices=[one for one in await advised(machine.asset) if one.asset == machine.asset]
        )

    @routes.get("/maintenance", operation_id="list_machines")
    async def machines() -> list[MachineInfo]:
        """Return how all machines are that a signal of health, life or advice is about, by path."""
        advices = groupby(sorted(await advised(), key=_asset), key=_asset)
        by_asset = {asset: list(some) for asset, some in advices}
        found = await conditions.of([machine for _, machine in sorted(conditions.machines.items())])
        return [MachineInfo(**one, advices=by_asset.get(one["asset"], [])) for one in found]

    @routes.get(
        "/maintenance/{asset:path}/evidence.svg",
        operation_id="draw_machine",
        response_class=Response,
        responses={200: {"content": {"image/svg+xml": {}}}},
    )
    async def picture(asset: Asset, start: From = "", end: To = "") -> Response:
        """Return the evidence as a picture (SVG): what it is said of, the tags with the largest shares, spectra."""
        shown = await detail(asset, start, end)
        return Response(await plant.work(drawn, shown.model_dump()), media_type="image/svg+xml")

    @routes.get("/maintenance/{asset:path}", operation_id="get_machine")
    async def machine(asset: Asset, start: From = "", end: To = "") -> Detail:
        """Return how a machine is, and the evidence: what each signal says, readings, spectra."""
        return await detail(asset, start, end)

    return routes
