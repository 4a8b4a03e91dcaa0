"""Why a tag is not good, and where its value comes from: the way of a value, from the tag to the wire and back.

    GET /api/v1/tags/{path}/why        what is wrong, because of what, since when, and what to do
    GET /api/v1/tags/{path}/lineage    what the device has, what becomes of it, and the record that it is in

Nothing is asked of a device: connectors tell what they know (`Traced` in gateway/contracts).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.browse import moment, number_of
from api.plant import Plant
from api.problems import ANSWERS
from gateway.contracts import Step
from gateway.model import Batch, Quality
from gateway.model.quality import name, severity

_REMEDIES: Final[Mapping[int, str]] = {
    Quality.BAD_WAITING_FOR_INITIAL_DATA: "wait for the first reading; if none comes, look at the device",
    Quality.BAD_NOT_CONNECTED: "check address and port, the device's power, cable and firewalls on the way",
    Quality.BAD_TIMEOUT: "check whether the device is on, and whether it is slower than timeout",
    Quality.BAD_NO_COMMUNICATION: "check the cable and the power of the unit behind the protocol gateway",
    Quality.BAD_NODE_ID_UNKNOWN: "compare the address of the tag with what the device has",
    Quality.BAD_NO_DATA_AVAILABLE: "the device itself says that it has no value: look at its sensor",
    Quality.BAD_DECODING_ERROR: "compare type and order of the tag with the manual of the device",
    Quality.BAD_DEVICE_FAILURE: "look at the device: it reports a failure of its own",
    Quality.BAD_SENSOR_FAILURE: "look at the sensor and its wiring",
    Quality.BAD_USER_ACCESS_DENIED: "give the user of the gateway the right to read it, in the device",
    Quality.BAD_CONFIGURATION_ERROR: "look at the configuration of the tag in the device",
    Quality.BAD_INTERNAL_ERROR: "this is a bug of the gateway: send its log to whoever maintains it",
    Quality.UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE: "check whether the device is on; this is its last value",
}
"""What to do where nothing better is known than the StatusCode."""
_CODE: Final = 0xFFFF_0000
_OTHER: Final = "look this StatusCode up in the manual of the device"


class StepInfo(BaseModel):
    """One thing that the value passes."""

    kind: str = Field(description="device, register, request, unit, node, poll, subscription, session or link")
    name: str = Field(examples=["function 3, holding:40 to 49"])
    facts: dict[str, Any] = Field(description="what is known of it, in the words of its protocol")
    trouble: str = Field(description="what is wrong with it; empty if nothing is known to be")
    remedy: str = Field(description="what to do about that")


class Why(BaseModel):
    """The causes of the quality of a tag."""

    tag: str
    text: str = Field(description="all of it in one sentence")
    quality: str = Field(description="good, uncertain or bad")
    status: int = Field(description="OPC UA StatusCode")
    reason: str = Field(description="its name", examples=["BadNotConnected"])
    cause: str = Field(description="what the protocol calls it", examples=["exception 2"])
    since: str | None = Field(description="when the first reading of this quality was received; null if there is none")
    remedy: str = Field(description="what to do; empty if it is good")
    chain: list[StepInfo] = Field(description="from the tag outwards; what is wrong further out is the cause")


class Lineage(BaseModel):
    """Where the latest value of a tag comes from."""

    tag: str
    device: str = Field(description="empty for a tag that is derived")
    source: str = Field(description="where the device has it, as configured", examples=["input:52 float32 ABCD"])
    unit: str = Field(description="UCUM")
    steps: list[StepInfo] = Field(description="from the tag outwards; facts of the first: type, order, scale, offset")
    gateway: str
    boot: int = Field(description="of this gateway's journal")
    sequence: int | None = Field(description="of the record, in the numbering of the asset; null if never read")
    source_time: str | None = Field(description="when the device had the value")
    received: str | None = Field(description="when the gateway received it")


def router(plant: Plant) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["plant"], responses=ANSWERS)

    @routes.get("/tags/{path:path}/why", operation_id="why_tag")
    async def why(path: str) -> Why:
        """Return why a tag is not good: the chain of causes from the tag to the wire, and what to do."""
        return _why(plant, number_of(plant, path))

    @routes.get("/tags/{path:path}/lineage", operation_id="get_lineage")
    async def lineage(path: str) -> Lineage:
        """Return where the latest value of a tag comes from, and which record of the journal it is in."""
        number = number_of(plant, path)
        tag, reading = plant.catalog[number], _reading(plant, number)
        return Lineage(
            tag=tag.path,
            device=tag.device,
            source=tag.address,
            unit=tag.unit,
            steps=_told(plant.trace(number)),
            gateway=plant.gateway,
            boot=plant.boot,
            sequence=int(plant.latest.sequence[number]) or None,
            source_time=moment(int(reading.time[0])),
            received=moment(int(plant.latest.received[number])),
        )

    return routes


def _why(plant: Plant, number: int) -> Why:
    tag = plant.catalog[number]
    status = int(_reading(plant, number).quality[0])
    device = next((one for one in plant.devices() if one.name == tag.device), None)
    chain = list(plant.trace(number))
    if device is not None:
        facts = {"state": device.state, "since": moment(device.since_ns), "last": moment(device.last_ns)}
        trouble = f"it is {device.state}{': ' if device.error else ''}{device.error}" if device.state != "up" else ""
        chain.append(Step("device", device.name, facts, trouble))
    word, since = severity(status), moment(int(plant.latest.since[number]))
    cause = "" if device is None or word == "good" else device.causes.get(status & _CODE, "")
    wrong = [step for step in chain if step.trouble] if word != "good" else []
    remedies = [step.remedy for step in reversed(wrong) if step.remedy] or [_REMEDIES.get(status & _CODE, _OTHER)]
    remedy = remedies[0] if word != "good" else ""
    said = "good" if word == "good" else f"{word}, {name(status)}{f' ({cause})' if cause else ''}"
    sentence = f"{tag.path} is {said}, since {since or 'the gateway was started'}"
    because = "".join(f"; {step.kind} {step.name}: {step.trouble}" for step in wrong)
    return Why(
        tag=tag.path,
        text=f"{sentence}{because}" + (f". What to do: {remedy}." if remedy else "."),
        quality=word,
        status=status,
        reason=name(status),
        cause=cause,
        since=since,
        remedy=remedy,
        chain=_told(chain),
    )


def _reading(plant: Plant, number: int) -> Batch:
    return plant.latest.read(np.array([number], np.uint32))[0]


def _told(steps: Sequence[Step]) -> list[StepInfo]:
    return [StepInfo(kind=s.kind, name=s.name, facts=dict(s.facts), trouble=s.trouble, remedy=s.remedy) for s in steps]
