"""What a section is and what its keys may be: texts of a certain form, durations, sizes, intervals; pydantic types."""

import math
import re
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from gateway.config.yaml import Secret
from gateway.model.duration import seconds, size
from gateway.model.tag import check_path

_SEGMENT: Final = re.compile(r"[a-z0-9_-]+")
_LISTEN: Final = re.compile(r"(?P<host>\[[0-9a-fA-F:]+\]|[^:\s]+):(?P<port>\d{1,5})")


def _segment(text: str) -> str:
    if not _SEGMENT.fullmatch(text):
        raise ValueError(f"{text!r} must be lower-case letters, digits, _ or -")
    return text


def _tag_name(text: str) -> str:
    if any(segment.startswith("_") for segment in check_path(text).split("/")):
        raise ValueError(f"{text!r}: names that begin with _ are the gateway's own")
    return text


def _listen(text: str) -> str:
    match = _LISTEN.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise ValueError(f"{text!r} must be address:port, such as 127.0.0.1:8080")
    return text


def _interval(bounds: tuple[float, float]) -> tuple[float, float]:
    low, high = bounds
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"[{low}, {high}] must be [low, high], two numbers")
    return bounds


def _level(text: str) -> str:
    if not text or any(c in "+/#" or not c.isprintable() for c in text):
        raise ValueError(f"{text!r} is a level of a topic: it must be a text without +, / and #")
    return text


def _from_outside(text: str) -> str:
    if not isinstance(text, Secret):
        raise ValueError("it is written out: keep it in the environment or a file: ${NAME} or ${file:/path/to/it}")
    return text


Segment = Annotated[str, AfterValidator(_segment)]
AssetPath = Annotated[str, AfterValidator(check_path)]
TagName = Annotated[str, AfterValidator(_tag_name)]
Seconds = Annotated[float, BeforeValidator(seconds, json_schema_input_type=str | float)]
Bytes = Annotated[int, BeforeValidator(size, json_schema_input_type=str | int), Field(gt=0)]
Listen = Annotated[str, AfterValidator(_listen)]
FromOutside = Annotated[str, BeforeValidator(_from_outside, json_schema_input_type=str)]
Level = Annotated[str, AfterValidator(_level)]
Interval = Annotated[tuple[float, float], AfterValidator(_interval)]


class Keys(BaseModel):
    """Keys of a section: unknown ones are errors, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def scheme_of(url: str) -> str:
    """The scheme of a URL for an error; of a text that is none nothing, for it may hold a secret."""
    scheme, found, _ = url.partition("://")
    return repr(scheme) if found and re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme) else "that"
