"""The section `webhooks`: who is told by HTTP of what happens, by name of the endpoint."""

import re
from base64 import b64decode
from binascii import Error
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from gateway.config.texts import Keys, Seconds

_PREFIX: Final = "whsec_"
_KEY_BYTES: Final = (24, 64)
_OURS: Final = ("webhook-", "ce-", "content-", "transfer-", "host", "connection", "expect", "te", "trailer", "upgrade")
"""Headers that the gateway writes itself, or that say how the request is to be read."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")


def _key(secret: str) -> bytes:
    """The key in a secret. What it is instead is never quoted."""
    try:
        key = b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or not _KEY_BYTES[0] <= len(key) <= _KEY_BYTES[1]:
        raise ValueError("a secret is whsec_ and the base64 of 24 to 64 bytes: echo whsec_$(openssl rand -base64 32)")
    return key


def _secret(secret: str) -> str:
    _key(secret)
    return secret


def _url(text: str) -> str:
    try:
        url = urlsplit(text)
        host, _ = (url.hostname or "").encode("idna"), url.port
    except ValueError:  # a host or port that cannot be, also for IDNA
        raise ValueError("it is no URL: write https://erp.example/hook") from None
    if url.scheme not in ("https", "http") or not host or url.username is not None or url.fragment:
        raise ValueError("it must be an https URL without user and fragment; a secret goes into headers, as ${NAME}")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("it has characters that no URL has: percent-encode them")
    return text


def _header(name: str) -> str:
    if not _TOKEN.fullmatch(name) or name.lower().startswith(_OURS):
        raise ValueError(f"{name!r} is no header that can be added")
    return name.lower()


def _value(text: str) -> str:
    if not _VALUE.fullmatch(text):
        raise ValueError("the value of a header is printable ASCII")
    return text


Secret = Annotated[str, AfterValidator(_secret)]
Header = Annotated[str, AfterValidator(_header)]
Value = Annotated[str, AfterValidator(_value)]
Wait = Annotated[Seconds, Field(gt=0, le=86_400)]
SCHEDULE_S: Final = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
"""Of Standard Webhooks 1.0: three days and three hours."""


class Webhook(Keys):
    """One endpoint: where it is, what it is told, and how patient the gateway is with it."""

    url: Annotated[str, AfterValidator(_url)] = Field(
        description="where events are posted, https://...; http:// only with allow_private", repr=False
    )
    secret: Secret | list[Secret] = Field(
        description="whsec_... of Standard Webhooks, as ${NAME}; a list while one is replaced: all of them sign",
        repr=False,
    )
    types: list[str] = Field(default=["*"], description="only events with these EventTypes, by glob")
    tags: list[str] = Field(default=["*"], description="only events of these tags, by glob over their path")
    format: Literal["structured", "binary"] = Field(
        default="structured", description="of CloudEvents: one JSON document, or its attributes as headers"
    )
    timeout: Annotated[Seconds, Field(gt=0, le=300)] = Field(default=20.0, description="how long an answer may take")
    retries: list[Wait] = Field(
        default=list(SCHEDULE_S), max_length=100, description="how long after each failure the next attempt is made"
    )
    in_flight: int = Field(default=4, ge=1, le=100, description="most requests at a time")
    order: Literal["any", "asset", "all"] = Field(
        default="any", description="whether an event waits for those before it: for none, those of its asset, all"
    )
    queue: int = Field(default=10_000, ge=1, le=1_000_000, description="most events that wait, and that were given up")
    full: Literal["drop_oldest", "drop_newest"] = Field(
        default="drop_oldest", description="which are given up when more wait"
    )
    keep: Annotated[Seconds, Field(gt=0)] = Field(
        default=30 * 86_400.0, description="how long events that were given up are kept"
    )
    ca: str = Field(default="", description="PEM file of those who vouch for the endpoint; default: the machine's")
    allow_private: bool | list[IPv4Network | IPv6Network] = Field(
        default=False, description="whether it may be on this machine or in a private network, or in which networks"
    )
    headers: dict[Header, Value] = Field(
        default={}, description="further headers, such as Authorization: Bearer ${NAME}", repr=False
    )

    @property
    def signing(self) -> list[bytes]:
        """The keys in the secrets, the first one that of today."""
        return [_key(one) for one in ([self.secret] if isinstance(self.secret, str) else self.secret)]

    @property
    def networks(self) -> list[IPv4Network | IPv6Network]:
        return [] if isinstance(self.allow_private, bool) else self.allow_private

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if not self.secret:
            raise ValueError("secret: name one at least, or nobody can tell that an event is the gateway's")
        if not self.url.startswith("https://") and not self.allow_private:
            raise ValueError("url: what goes out of the plant is encrypted: write https://, or allow_private")
        if self.ca and not Path(self.ca).is_file():
            raise ValueError(f"ca: {self.ca} is no file: name a PEM file that can be read")
        return self
