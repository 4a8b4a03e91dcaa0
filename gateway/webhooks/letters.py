"""An event becomes a request: CloudEvents 1.0 over HTTP, signed as Standard Webhooks 1.0 says. Pure."""

import hmac
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

from gateway.cloudevents import CONTENT_TYPE, Event, structured

DATA_MAX: Final = 64 << 10
"""Larger events are not sent: those between need not carry them (CloudEvents 1.0, size limits)."""
_PLAIN: Final = "".join(map(chr, range(0x21, 0x7F))).replace('"', "").replace("%", "")
"""What a header's value may have as it is (CloudEvents HTTP binding 1.0, 3.1.3.2); the rest is percent-encoded."""


@dataclass(frozen=True, slots=True)
class Letter:
    """An event on its way: `id` is its `webhook-id`, the same with every attempt and for every endpoint."""

    id: str
    attributes: Mapping[str, Any]
    data: bytes


def letter(event: Event) -> Letter:
    """Return what is sent of an event.

    Its CloudEvent id is its own within its source only, and begins anew with a new journal; a `webhook-id` has to be
    its own among all (and has no full stop, which separates what is signed).
    """
    own = f"{event.source}\n{event.id}\n{event.time}"
    return Letter(f"msg_{sha256(own.encode()).hexdigest()[:32]}", event.attributes, event.data)


def request(letter: Letter, keys: Sequence[bytes], second: int, *, binary: bool) -> tuple[dict[str, str], bytes]:
    """Return headers and body of an attempt at a time [s since 1970 UTC]: structured as one JSON document, or binary.

    In binary mode the attributes are headers, which no signature covers.
    """
    if binary:
        headers = {
            f"ce-{name}": quote(str(value), safe=_PLAIN)
            for name, value in letter.attributes.items()
            if name != "datacontenttype"
        }
        headers, body = {"content-type": CONTENT_TYPE, **headers}, letter.data
    else:
        headers = {"content-type": "application/cloudevents+json"}
        body = structured(letter.attributes, letter.data)
    signatures = " ".join(signature(letter.id, second, body, key) for key in keys)
    headers |= {"webhook-id": letter.id, "webhook-timestamp": str(second), "webhook-signature": signatures}
    return headers, body


def signature(id: str, second: int, body: bytes, key: bytes) -> str:
    """Return `v1,` and the base64 of HMAC-SHA256 over id, timestamp and body."""
    signed = b"%s.%d.%s" % (id.encode("ascii"), second, body)
    return "v1," + b64encode(hmac.digest(key, signed, "sha256")).decode("ascii")
