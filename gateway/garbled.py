"""What is no HTTP is answered as a problem like all other errors, and is not listened to for ever.

For uvicorn's protocols, which answer it as plain text; that of httptools reads a head of any length.
"""

from typing import Any, Final

import orjson

_HEAD_BYTES_MAX: Final = 65_536
_PROBLEM: Final = orjson.dumps(
    {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": f"this is no HTTP request, or its head has more than {_HEAD_BYTES_MAX} bytes",
    }
)
_ANSWER: Final = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\ncontent-length: %d\r\n"
    b"x-content-type-options: nosniff\r\nconnection: close\r\n\r\n%s" % (len(_PROBLEM), _PROBLEM)
)


def strict(protocol: type[Any]) -> type[Any]:
    """Return one of uvicorn's HTTP protocols with our answer to what is none."""

    class Answering(protocol):  # type: ignore[misc]  # which of them it is, depends on the platform
        def send_400_response(self, msg: str) -> None:
            self.transport.write(_ANSWER)
            self.transport.close()

    return _bounded(Answering) if hasattr(protocol, "on_headers_complete") else Answering


def _bounded(protocol: type[Any]) -> type[Any]:
    """The protocol of httptools with a limit: of bytes that are neither a head that has ended nor a body."""

    class Bounded(protocol):  # type: ignore[misc]  # as above
        unread = 0

        def data_received(self, data: bytes) -> None:
            self.unread += len(data)
            super().data_received(data)
            if self.unread > _HEAD_BYTES_MAX and not self.transport.is_closing():
                self.send_400_response("")

        def on_headers_complete(self) -> None:
            self.unread = 0
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            self.unread = 0
            super().on_body(body)

    return Bounded
