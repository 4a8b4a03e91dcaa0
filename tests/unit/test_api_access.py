"""Every route for every role: a new route that changes something and has no rule lets this fail."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from api.access import READING, ROLES, Client, needed
from tests.drive import Hall, Still, served

TOKENS = {role: f"{role}-0123456789abcdef" for role in ROLES}
CLIENTS = {role: Client(TOKENS[role], role) for role in ROLES}
NOW_NS = Still().now_ns()
OPEN = {"/livez", "/readyz"}


async def ask(http: httpx.AsyncClient, method: str, path: str, token: str = "") -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return (await http.request(method, path.replace("{", "").replace("}", ""), headers=headers)).status_code


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    late = {
        "late": Client("late-0123456789abcdef", "admin", NOW_NS),
        "soon": Client("soon-0123456789abcdef", "viewer", NOW_NS + 1),
    }
    async with served(Hall(Still()), tmp_path, CLIENTS | late) as one:
        yield one


async def routes(http: httpx.AsyncClient) -> list[tuple[str, str]]:
    document = (await http.get("/openapi.json")).json()
    return [(method.upper(), path) for path, methods in document["paths"].items() for method in methods]


async def test_every_route_has_a_rule_and_each_role_gets_what_it_says(http: httpx.AsyncClient) -> None:
    found = await routes(http)
    assert len(found) > 15
    for method, path in found:
        role = needed(method, path)
        assert role is not None, f"{method} {path} needs a line in api/access.py"
        assert (await ask(http, method, path) == 401) == (path not in OPEN), (method, path)
        assert (await ask(http, method, path, "wrong-0123456789abcdef") == 401) == (path not in OPEN), (method, path)
        for who in ROLES if path != "/api/v1/stream" else ():  # which has no end
            refused = await ask(http, method, path, TOKENS[who]) == 403
            assert refused == (ROLES.index(who) < ROLES.index(role)), (method, path, who)


async def test_what_changes_something_and_has_no_line_is_for_nobody(http: httpx.AsyncClient) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert method not in READING
        assert await ask(http, method, "/api/v1/tags", TOKENS["admin"]) == 403
        assert needed(method, "/api/v1/writesque") is None


async def test_a_viewer_does_not_get_to_the_door_for_writes(http: httpx.AsyncClient) -> None:
    assert await ask(http, "POST", "/api/v1/writes", TOKENS["viewer"]) == 403
    assert await ask(http, "POST", "/api/v1/writes", TOKENS["operator"]) == 415  # it got further


async def test_what_is_mounted_is_behind_the_same_door(http: httpx.AsyncClient) -> None:
    assert await ask(http, "POST", "/i3x/v1/objects/list") == 401
    assert await ask(http, "POST", "/i3x/v1/objects/list", TOKENS["viewer"]) != 403
    assert await ask(http, "PUT", "/i3x/v1/objects/value", TOKENS["viewer"]) == 403
    assert await ask(http, "DELETE", "/i3x/v1/objects/value", TOKENS["admin"]) == 403


async def test_a_token_ends_when_it_expires(http: httpx.AsyncClient) -> None:
    assert await ask(http, "GET", "/api/v1/tags", "late-0123456789abcdef") == 401
    assert await ask(http, "GET", "/api/v1/tags", "soon-0123456789abcdef") == 200
