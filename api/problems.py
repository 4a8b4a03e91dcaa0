"""Every error as application/problem+json (RFC 9457): what is wrong, and where in the request."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

log = logging.getLogger(__name__)


class Problem(BaseModel):
    """An error, as RFC 9457 describes it."""

    type: str = Field(default="about:blank", description="URI of the kind of problem")
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["there is no tag acme/dresden/packaging/line1/filler/temprature"])
    errors: list[dict[str, str]] = Field(default=[], description="each wrong part of the request: pointer and detail")


def answers(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Return what the OpenAPI document says of errors with these status codes."""
    return {
        code: {"model": Problem, "description": HTTPStatus(code).phrase, "content": {"application/problem+json": {}}}
        for code in codes
    }


ANSWERS: Final = answers(400, 401, 404, 422, 503)
"""What the OpenAPI document says of the errors that every route may have."""


def problem(
    status: int,
    detail: str,
    errors: Sequence[dict[str, str]] = (),
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> JSONResponse:
    """Return an error as an answer; `members` are what it has beyond the standard's own (RFC 9457 section 3.2)."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=list(errors))
    content = body.model_dump(exclude_defaults=True) | {"type": body.type} | members
    return JSONResponse(content, status, headers, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Make the application answer all its errors this way."""
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ConnectionError, _away)
    app.add_exception_handler(Exception, _bug)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    detail = str(error.detail)
    if error.status_code == 405 and error.headers:
        detail = f"{request.method} is not possible here, {error.headers['Allow']} is"
    return problem(error.status_code, detail, headers=error.headers)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """422, but 400 for a header that is missing, as the draft of Idempotency-Key (-07) has it."""
    assert isinstance(error, RequestValidationError)
    missing = any(one["type"] == "missing" and one["loc"][0] == "header" for one in error.errors())
    errors = [
        {"pointer": "#/" + "/".join(map(str, one["loc"])), "detail": one["msg"].removeprefix("Value error, ")}
        for one in error.errors()
    ]
    return problem(
        400 if missing else 422, "; ".join(f"{e['pointer'].rpartition('/')[2]}: {e['detail']}" for e in errors), errors
    )


async def _away(request: Request, error: Exception) -> JSONResponse:
    return problem(503, str(error), headers={"Retry-After": "5"})


async def _bug(request: Request, error: Exception) -> JSONResponse:
    log.error("a bug of the gateway in %s %s", request.method, request.url.path, exc_info=error)
    return problem(500, "the gateway made a mistake; its log has the details")
