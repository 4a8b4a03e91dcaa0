"""Logging in and out, and who one is. Who that is says identity/desk.py; what they may, access.py."""

from fastapi import APIRouter, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.browse import moment
from api.identity.caller import Caller, Denied
from api.identity.desk import Desk
from api.identity.passwords import LENGTH_MAX
from api.plant import Plant
from api.problems import ANSWERS, answers
from api.writes import SmallJson
from gateway.audit import Entry


class Credentials(BaseModel):
    """A user and their password."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    user: str = Field(max_length=200, examples=["alice"])
    password: str = Field(max_length=LENGTH_MAX, json_schema_extra={"format": "password", "writeOnly": True})


class SessionInfo(BaseModel):
    """A login that worked."""

    token: str = Field(description="for Authorization: Bearer ...; it is told here and never again")
    token_type: str = Field(default="Bearer")
    user: str = Field(examples=["alice"])
    role: str = Field(examples=["operator"])
    expires: str | None = Field(description="when it ends, if no logout ends it before; so does a restart")


class CallerInfo(BaseModel):
    """Who asks, and what they may."""

    name: str = Field(description="empty where everybody on this machine may ask")
    role: str = Field(description="empty where there are no roles", examples=["viewer"])
    how: str = Field(description="token, session, password, oidc or anonymous", examples=["token"])
    scopes: list[str] | None = Field(description="only these of what the role may; null for all")
    tags: list[str] = Field(description="globs over the paths of tags; empty for all")
    expires: str | None = Field(description="until when that is so")


def router(plant: Plant, desk: Desk) -> APIRouter:
    """What is about whoever asks."""
    routes = APIRouter(prefix="/api/v1", tags=["access"], responses=ANSWERS | answers(429))

    @routes.post("/logout", operation_id="logout", status_code=204, responses=answers(409))
    async def logout(request: Request) -> None:
        """End the session whose token this is; its token is good for nothing from then on."""
        if not desk.logout(request.scope["headers"]):
            raise HTTPException(409, "this is no session: a token ends when it expires, or leaves the configuration")
        plant.audit.add(Entry("logout", request.state.client, "done"))

    @routes.get("/session", operation_id="get_session")
    async def session(request: Request, response: Response) -> CallerInfo:
        """Return who asks, as this gateway knows them."""
        response.headers["Cache-Control"] = "no-store"
        caller: Caller | None = getattr(request.state, "caller", None)
        if caller is None:
            return CallerInfo(name="", role="", how="anonymous", scopes=None, tags=[], expires=None)
        return CallerInfo(
            name=caller.name,
            role=caller.role,
            how=caller.how,
            scopes=None if caller.scopes is None else sorted(caller.scopes),
            tags=list(caller.tags),
            expires=None if caller.expires_ns is None else moment(caller.expires_ns),
        )

    return routes


def door(plant: Plant, desk: Desk) -> APIRouter:
    """What is open to all, for they are nobody yet."""
    routes = APIRouter(prefix="/api/v1", tags=["access"], responses=ANSWERS | answers(429), route_class=SmallJson)

    @routes.post("/login", operation_id="login", responses=answers(411, 413, 415))
    async def login(given: Credentials, request: Request, response: Response) -> SessionInfo:
        """Begin a session with a password. A wrong user and a wrong password are one answer; too many have to wait."""
        if not desk.takes_logins:
            raise HTTPException(404, "this gateway has no users: api.users in its configuration")
        address = request.client.host if request.client is not None else ""
        try:
            made = await desk.login(given.user, given.password, address)
        except Denied as denied:
            raise HTTPException(denied.status, denied.detail, dict(denied.headers)) from None
        plant.audit.add(Entry("login", made.caller.name, "done", who=made.caller.name, how="password"))
        response.headers["Cache-Control"] = "no-store"
        expires = None if made.caller.expires_ns is None else moment(made.caller.expires_ns)
        return SessionInfo(token=made.token, user=made.caller.name, role=made.caller.role, expires=expires)

    return routes
