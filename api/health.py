"""How the gateway is doing: for orchestrators, for people, for Prometheus."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Response
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.gc_collector import GCCollector
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_of
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from pydantic import BaseModel, Field

from api.browse import moment
from api.feed import Feed
from api.plant import Device, Part, Plant
from api.problems import answers


class Check(BaseModel):
    """One thing that was looked at."""

    status: Literal["pass", "warn", "fail"]
    since: str | None
    detail: str = ""


class _Health(JSONResponse):
    media_type = "application/health+json"


class _Metrics(Response):
    media_type = CONTENT_TYPE_PLAIN_0_0_4


_OPENMETRICS: Final = OPENMETRICS.partition(";")[0]


class HealthInfo(BaseModel):
    """The whole gateway. `warn`: it works, something outside does not; `fail`: it cannot do its work."""

    status: Literal["pass", "warn", "fail"]
    version: str
    gateway: str
    started: str | None
    checks: dict[str, Check] = Field(description="by name: broker, sinks, journal, and every device")


_ANSWERS: Final[Any] = {
    "response_class": _Health,
    "response_model": HealthInfo,
    "responses": {503: {"model": HealthInfo}},
}


def probes(plant: Plant) -> APIRouter:
    """Return the routes that are open to all, for who asks them has no token."""
    routes = APIRouter(tags=["health"])

    @routes.get("/livez", operation_id="livez")
    async def livez() -> dict[str, str]:
        """Answer, which is all that is asked: the event loop turns."""
        return {"status": "pass"}

    @routes.get("/readyz", operation_id="readyz", **_ANSWERS)
    async def readyz() -> JSONResponse:
        """Answer 200 if readings can be taken and kept; a device that is away does not matter for that."""
        return _answer(_health(plant, plant.parts(), ()))

    return routes


def router(plant: Plant, feed: Feed) -> APIRouter:
    routes = APIRouter(tags=["health"], responses=answers(401))
    registry = CollectorRegistry()
    registry.register(_Collector(plant, feed))
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)

    @routes.get("/healthz", operation_id="healthz", **_ANSWERS)
    async def healthz() -> JSONResponse:
        """Answer how every part and every device is doing."""
        return _answer(_health(plant, plant.parts(), plant.devices()))

    @routes.get(
        "/metrics", operation_id="metrics", response_class=_Metrics, responses={200: {"content": {_OPENMETRICS: {}}}}
    )
    async def metrics(accept: Annotated[str, Header(include_in_schema=False)] = "") -> Response:
        """Answer in the text format of Prometheus, or as OpenMetrics if that is accepted."""
        if _OPENMETRICS in accept:
            text = openmetrics_of(registry)  # type: ignore[no-untyped-call]  # it has no types
            return Response(text, media_type=OPENMETRICS)
        return _Metrics(generate_latest(registry))

    return routes


def _health(plant: Plant, parts: Sequence[Part], devices: Sequence[Device]) -> HealthInfo:
    checks = {part.name: _check(part, down="fail" if part.name == "journal" else "warn") for part in parts}
    checks |= {f"device {device.name}": _check(device, down="warn") for device in devices}
    found = {check.status for check in checks.values()}
    return HealthInfo(
        status="fail" if "fail" in found else "warn" if "warn" in found else "pass",
        version=plant.version,
        gateway=plant.gateway,
        started=moment(plant.started_ns),
        checks=checks,
    )


def _check(one: Part | Device, *, down: Literal["warn", "fail"]) -> Check:
    well = one.state == "up"
    return Check(
        status="pass" if well else down, since=moment(one.since_ns), detail="" if well else one.error or one.state
    )


def _answer(health: HealthInfo) -> JSONResponse:
    return _Health(health.model_dump(), 503 if health.status == "fail" else 200)


class _Collector(Collector):
    """Metrics from the plant's own counts, made when they are asked for."""

    def __init__(self, plant: Plant, feed: Feed) -> None:
        self._plant = plant
        self._feed = feed

    def collect(self) -> Iterable[Metric]:
        info = InfoMetricFamily("gateway_build", "version of the gateway")
        info.add_metric((), {"version": self._plant.version, "gateway": self._plant.gateway})
        yield info
        yield GaugeMetricFamily("gateway_start_time_seconds", "when it was started", self._plant.started_ns / 1e9)
        yield GaugeMetricFamily("gateway_streams", "event streams that are open", self._feed.streams)
        dropped = "readings that event streams missed because they were slow"
        yield CounterMetricFamily("gateway_stream_readings_dropped", dropped, self._feed.dropped)
        yield from _metrics("device", self._plant.devices())
        yield from _metrics("part", self._plant.parts())


def _metrics(label: str, things: Sequence[Device] | Sequence[Part]) -> Iterable[Metric]:
    up = GaugeMetricFamily(f"gateway_{label}_up", f"1 if the {label} works", labels=(label,))
    families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
    for thing in things:
        up.add_metric((thing.name,), float(thing.state == "up"))
        for kind, numbers in ((CounterMetricFamily, thing.counts), (GaugeMetricFamily, thing.gauges)):
            for name, number in numbers.items():
                if name not in families:
                    families[name] = kind(f"gateway_{label}_{name}", name.replace("_", " "), labels=(label,))
                families[name].add_metric((thing.name,), float(number))
    yield up
    yield from families.values()
