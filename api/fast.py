"""The shortest way to the latest readings: those who ask for the same again and again get what is known already.

In front of the routes. Whatever is not plainly `GET /api/v1/values`, of tags that there are, goes on to them, and gets
the same answer from there, or the error.
"""

from typing import Final
from urllib.parse import parse_qsl

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray
from starlette.types import ASGIApp, Receive, Scope, Send

from api.browse import number_of
from api.plant import Plant
from api.present import Known, named

_PATH: Final = "/api/v1/values"


class Fast:
    """Answers what it can, and hands on the rest."""

    def __init__(self, app: ASGIApp, plant: Plant, known: Known) -> None:
        self._app = app
        self._plant = plant
        self._known = known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, below = None, ""
        if scope["type"] == "http" and scope["method"] == "GET" and scope["path"].startswith(_PATH):
            below, query = scope["path"][len(_PATH) :], scope["query_string"]
            rows = self._known.joined((below, query), lambda: self._asked(below, query))
            body = rows if rows is None or below else b"[%s]" % rows
        if body is None:
            await self._app(scope, receive, send)
            return
        scope["template"] = f"{_PATH}/{{path}}" if below else _PATH
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _asked(self, below: str, query: bytes) -> NDArray[np.uint32] | None:
        """The tags that are asked for, None if that is not for here."""
        try:
            if below:
                known = below.startswith("/") and not query
                return np.array([number_of(self._plant, below[1:])], np.uint32) if known else None
            asked = parse_qsl(query.decode("ascii"), keep_blank_values=True, strict_parsing=bool(query))
            if not {key for key, _ in asked} <= {"tag", "match"}:
                return None
            globs = [text for key, text in asked if key == "match"]
            return named(self._plant, [text for key, text in asked if key == "tag"], globs[-1] if globs else "*")
        except (HTTPException, ValueError):
            return None
