"""The section `tracing`: who gets traces of OpenTelemetry, and how many."""

from importlib.util import find_spec
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from gateway.config.texts import FromOutside, Keys, scheme_of

_NEEDS: Final = ("opentelemetry", "opentelemetry.sdk", "opentelemetry.proto")


class Tracing(Keys):
    """Where spans go, by OTLP over HTTP."""

    endpoint: str = Field(description="URL of a collector, such as http://127.0.0.1:4318; /v1/traces is added to it")
    ratio: float = Field(
        default=1.0, ge=0, le=1, description="share of traces that are begun; those that a caller has begun are its own"
    )
    headers: dict[str, FromOutside] = Field(
        default={}, description="what the collector wants to be told, such as Authorization, as ${NAME} or ${file:PATH}"
    )
    ca: str = Field(default="", description="PEM file of those who vouch for the collector; default: the machine's")

    @model_validator(mode="after")
    def _usable(self) -> Self:
        url = urlsplit(self.endpoint)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"endpoint must be http://host:port or https://host:port, not {scheme_of(self.endpoint)}")
        if url.username is not None or url.query or url.fragment:
            raise ValueError("endpoint has no user and no query: what the collector wants to be told is for headers")
        if self.ca and not Path(self.ca).is_file():
            raise ValueError(f"{self.ca} is no file: name a PEM file that can be read")
        if not all(map(find_spec, _NEEDS)):
            raise ValueError("the SDK is not there: pip install 'itot-gateway[otel]', or take tracing out")
        return self
