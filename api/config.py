"""The configuration: see what a change would touch, make it, look at the versions, go back.

Whoever may change it may name any device and any file for the gateway to read, so it takes an engineer, and where there
are no tokens nobody may.
"""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, HTTPException, Path, Query, Request, Response
from fastapi.routing import APIRoute

from api.browse import moment
from api.plant import Changes, Plant
from api.problems import ANSWERS, answers, problem
from gateway.config import ConfigError
from gateway.config.change import ConflictError
from gateway.config.versions import Version

_BYTES_MAX: Final = 32 << 20
_KINDS: Final = ("application/yaml", "application/x-yaml", "text/yaml")
_BODY: Final = {
    "requestBody": {
        "required": True,
        "description": "the whole configuration",
        "content": {_KINDS[0]: {"schema": {"type": "string"}}},
    }
}
_ERRORS: Final = ANSWERS | answers(403, 409, 412, 413, 415)

Number = Annotated[int, Path(ge=1, description="number of a version")]


Asked = Callable[[Request], tuple[Changes, str]]
"""Gives the process and the name of who asks. Raises HTTPException if there is none, or it is not for them."""


def router(plant: Plant) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/config", tags=["configuration"], responses=_ERRORS, route_class=_Findings)

    def asked(request: Request) -> tuple[Changes, str]:
        if plant.changes is None:
            raise HTTPException(404, "this gateway was started with a configuration that cannot be changed")
        name: str = getattr(request.state, "client", "")
        if not name:
            raise HTTPException(403, "this needs the token of an engineer, and api.tokens has none at all")
        return plant.changes, name

    _looking(routes, asked)
    _changing(routes, asked)
    return routes


def _looking(routes: APIRouter, asked: Asked) -> None:
    @routes.get("", operation_id="get_config")
    async def running(request: Request, response: Response) -> dict[str, Any]:
        """Return the text that runs, its version, who is on trial, and what was wrong with the file last."""
        changes, _ = asked(request)
        version, text = changes.version(changes.number)
        response.headers["ETag"] = f'"{version.number}"'
        trial = changes.trial
        return {
            "version": version.number,
            "file": changes.file,
            "text": text,
            "trial": sorted(trial.devices) if trial else [],
            "findings": [str(finding) for finding in changes.findings],
        }

    @routes.get("/history", operation_id="list_config_versions")
    async def history(request: Request) -> dict[str, Any]:
        """Return the versions that are kept, newest first."""
        changes, _ = asked(request)
        return {"versions": [_version(version) for version in await changes.versions()]}

    @routes.get("/history/{number}", operation_id="get_config_version")
    async def version(number: Number, request: Request) -> dict[str, Any]:
        """Return one version with its text and its diff."""
        changes, _ = asked(request)
        try:
            found, text = changes.version(number)
        except KeyError:
            raise HTTPException(404, f"there is no version {number}") from None
        return _version(found) | {"diff": list(found.diff), "text": text}

    @routes.post("/plan", operation_id="plan_config", openapi_extra=_BODY)
    async def plan(request: Request) -> dict[str, Any]:
        """Return what a configuration would change, and which connections that touches. Nothing is changed."""
        changes, _ = asked(request)
        change = await changes.plan(await _text(request))
        return {"lines": change.lines(), **change.described()}


def _changing(routes: APIRouter, asked: Asked) -> None:
    @routes.post("/apply", operation_id="apply_config", openapi_extra=_BODY)
    async def apply(
        request: Request,
        why: Annotated[str, Query(max_length=500, description="for those who read the history")] = "",
        if_match: Annotated[str, Header(description="the ETag of the version that was edited")] = "",
    ) -> dict[str, Any]:
        """Make it the configuration. Connections that it does not touch stay; what it breaks is rolled back."""
        changes, who = asked(request)
        return _version(await changes.apply(await _text(request), who, why, _base(if_match)))

    @routes.post("/rollback/{number}", operation_id="rollback_config")
    async def rollback(number: Number, request: Request) -> dict[str, Any]:
        """Return to a version, as a new version."""
        changes, who = asked(request)
        try:
            return _version(await changes.rollback(number, who))
        except KeyError:
            raise HTTPException(404, f"there is no version {number}") from None


class _Findings(APIRoute):
    """Answers 422 with file, line and remedy of all that is wrong, and 409 where somebody else was faster."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handle(request)
            except ConfigError as error:
                errors = [{"pointer": f"{f.file}:{f.line}", "detail": _said(f.what, f.remedy)} for f in error.findings]
                return problem(422, "; ".join(map(str, error.findings)), errors)
            except ConflictError as error:
                return problem(409, str(error))
            except OSError as error:
                return problem(503, f"the configuration cannot be kept: {error}", headers={"Retry-After": "5"})

        return answered


async def _text(request: Request) -> str:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _KINDS:
        raise HTTPException(415, f"send the configuration as {_KINDS[0]}")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _BYTES_MAX:
            raise HTTPException(413, f"a configuration has at most {_BYTES_MAX} bytes")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise HTTPException(422, f"the configuration is not UTF-8: {error}") from None


def _base(if_match: str) -> int | None:
    number = if_match.strip().strip('"')
    if number in ("", "*"):
        return None
    if not number.isdecimal():
        raise HTTPException(412, "If-Match must be the ETag of GET /api/v1/config")
    return int(number)


def _version(version: Version) -> dict[str, Any]:
    return {
        "version": version.number,
        "time": moment(version.time_ns),
        "author": version.author,
        "why": version.why,
        "change": dict(version.change),
    }


def _said(what: str, remedy: str) -> str:
    return f"{what} -> {remedy}" if remedy else what
