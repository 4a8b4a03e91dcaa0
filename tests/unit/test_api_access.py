"""Every route for everybody: a new route that changes something and has no rule lets this fail.

The routes are those of the OpenAPI document; who asks comes by token, by login, by HTTP Basic, by an identity provider,
with scopes, for some tags, or not at all.
"""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import argon2
import httpx
import pytest

from api.access import READING, ROLES, SCOPES, Client, needed
from api.identity.desk import CREDENTIAL_MAX
from gateway.config import Api
from tests.drive import SITE, SPEED, Hall, Still, served
from tests.issuer import AUDIENCE, Issuer, issuer

TOKENS = {role: f"{role}-0123456789abcdef" for role in ROLES}
CLIENTS = {role: Client(TOKENS[role], role) for role in ROLES}
NOW_NS = Still().now_ns()
OPEN = {"/livez", "/readyz", "/api/v1/login"}
PASSWORD = "correct horse battery"
HASH = argon2.PasswordHasher(time_cost=1, memory_cost=19_456, parallelism=1).hash(PASSWORD)
LATE = {
    "late": Client("late-0123456789abcdef", "admin", NOW_NS),
    "soon": Client("soon-0123456789abcdef", "viewer", NOW_NS + 1),
}
SCOPED = {
    f"only-{scope}": Client(f"only-{scope}-0123456789abcdef", "admin", scopes=(scope,))
    for scope in ("read", "health", "write", "configure", "audit")
}
FOR_TAGS = {
    "speedy": Client("speedy-0123456789abcdef", "operator", tags=("hall/drive/sp*",)),
    "whole": Client("whole-0123456789abcdef", "admin", tags=(f"{SITE}/hall/*",)),
}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


async def ask(http: httpx.AsyncClient, method: str, path: str, token: str = "") -> int:
    return (
        await http.request(method, path.translate({ord("{"): None, ord("}"): None}), headers=bearer(token))
    ).status_code


@pytest.fixture
async def provider() -> AsyncIterator[Issuer]:
    async with issuer() as one:
        yield one


@pytest.fixture
def hall() -> Hall:
    return Hall(Still())


@pytest.fixture
async def http(tmp_path: Path, provider: Issuer, hall: Hall) -> AsyncIterator[httpx.AsyncClient]:
    users = {f"user-{role}": {"password": HASH, "role": role} for role in ROLES}
    told = {"issuer": provider.url, "audience": AUDIENCE, "roles": {role: role for role in ROLES}}
    keys = Api.model_validate({"users": users, "oidc": told, "basic": True, "rate": 1e6})
    async with served(hall, tmp_path, CLIENTS | LATE | SCOPED | FOR_TAGS, keys=keys) as one:
        yield one


async def routes(http: httpx.AsyncClient) -> list[tuple[str, str]]:
    document = (await http.get("/openapi.json")).json()
    return [
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method in methods
        if path != "/api/v1/stream"  # which has no end
    ]


async def login(http: httpx.AsyncClient, user: str, password: str = PASSWORD, **more: Any) -> httpx.Response:
    return await http.post("/api/v1/login", json={"user": user, "password": password} | more)


async def test_every_route_has_a_rule_and_nobody_gets_in_without_a_token(http: httpx.AsyncClient) -> None:
    found = await routes(http)
    assert len(found) > 15
    for method, path in found:
        assert needed(method, path) is not None, f"{method} {path} needs a line in api/access.py"
        for token in ("", "wrong-0123456789abcdef"):
            assert (await ask(http, method, path, token) == 401) == (path not in OPEN), (method, path)


async def test_each_role_gets_what_the_rule_says_however_it_comes(http: httpx.AsyncClient, provider: Issuer) -> None:
    for role in ROLES:
        session = (await login(http, f"user-{role}")).json()["token"]
        for method, path in await routes(http):
            if path == "/api/v1/logout":
                continue
            may = ROLES.index(role) >= ROLES.index(needed(method, path) or "")
            for token in (TOKENS[role], session, provider.token(roles=[role])):
                status = await ask(http, method, path, token)
                assert (status != 403) == (may or path in OPEN), (method, path, role, status)
                assert status not in (401, 429, 500), (method, path, role, status)


async def test_a_token_with_a_scope_gets_that_and_no_more(http: httpx.AsyncClient) -> None:
    for method, path in await routes(http):
        wanted = {"audit"} if path == "/api/v1/audit" else {SCOPES[needed(method, path) or ""]}
        wanted |= {"health"} if path in ("/healthz", "/metrics") else set()
        for name, client in SCOPED.items():
            may = name.removeprefix("only-") in wanted or path in OPEN | {"/api/v1/session", "/api/v1/logout"}
            assert (await ask(http, method, path, client.token) != 403) == may, (method, path, name)


async def test_a_token_for_some_tags_gets_those_by_their_paths_and_no_list(http: httpx.AsyncClient) -> None:
    own = {"/healthz", "/metrics", "/api/v1/session", "/api/v1/logout", "/api/v1/writes", "/api/v1/calls"}
    for method, path in await routes(http):
        for client in FOR_TAGS.values():
            may = path in own | OPEN
            assert (await ask(http, method, path, client.token) != 403) == may, (method, path)
    speedy = FOR_TAGS["speedy"].token
    for path in (SPEED, SPEED.removeprefix(f"{SITE}/")):
        for route in (f"tags/{path}", f"tags/{path}/why", f"tags/{path}/lineage", f"values/{path}", f"history/{path}"):
            assert await ask(http, "GET", f"/api/v1/{route}", speedy) not in (401, 403), route
    others = ("tags/hall/drive/torque", f"values/{SITE}/hall/drive/torque", "values/hall/drive", "values/")
    sly = ("tags/hall/drive/torque/why", "values/hall/drive/../torque", "values/hall%2Fdrive%2Ftorque")
    for route in others + sly:
        assert await ask(http, "GET", f"/api/v1/{route}", speedy) == 403, route
    assert await ask(http, "POST", "/i3x/v1/objects/value", speedy) == 403
    assert await ask(http, "PUT", "/i3x/v1/objects/value", speedy) == 403


async def test_what_changes_something_and_has_no_line_is_for_nobody(http: httpx.AsyncClient) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE", "FOO"):
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


async def test_somebody_without_a_role_is_known_and_may_nothing(http: httpx.AsyncClient, provider: Issuer) -> None:
    assert await ask(http, "GET", "/api/v1/tags", provider.token(roles=["others"])) == 403


async def test_one_can_see_who_one_is(http: httpx.AsyncClient, provider: Issuer) -> None:
    async def me(token: str) -> Any:
        return (await http.get("/api/v1/session", headers=bearer(token))).json()

    assert (await me(TOKENS["viewer"]))["how"] == "token"
    assert (await me(SCOPED["only-audit"].token))["scopes"] == ["audit"]
    assert (await me(FOR_TAGS["speedy"].token))["tags"] == ["hall/drive/sp*"]
    found = await me(provider.token(roles=["operator"]))
    assert (found["name"], found["role"], found["how"]) == ("oidc:alice", "operator", "oidc")


# --- whoever tries ------------------------------------------------------------------------


NO_TOKENS = [
    b"", b" ", b"Bearer", b"Bearer ", b"Bearer  ", b"bearer", b"Token viewer-0123456789abcdef",
    b"viewer-0123456789abcdef", b"Bearer viewer-0123456789abcde", b"Bearer viewer-0123456789abcdef0",
    b"Bearer viewer-0123456789abcdef\0", b"Bearer viewer-0123456789abcdef,Bearer x", b"Bearer \xff\xfe\xfd",
    "Bearer vïewer-0123456789abcdef".encode(), b"Bearer VIEWER-0123456789ABCDEF", b"Bearer " + b"x" * 60_000,
    b"Bearer " + b"." * CREDENTIAL_MAX, b"Bearer a.b.c", b"Bearer " + b"e30." * 2000, b"Basic", b"Basic !!!",
    b"Basic " + base64.b64encode(b"\xff:\xff"), b"Basic " + base64.b64encode(b"no colon"),
    b"Negotiate YII=", b"Bearer\tviewer-0123456789abcdef",
]  # fmt: skip


async def test_a_header_that_is_no_token_is_401(http: httpx.AsyncClient) -> None:
    for header in NO_TOKENS:
        answer = await http.get("/api/v1/tags", headers={b"Authorization": header})
        assert answer.status_code == 401, header[:50]
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_token_may_have_any_characters(tmp_path: Path, hall: Hall) -> None:
    async with served(hall, tmp_path, {"odd": Client("pâté-0123456789-🔑", "viewer")}) as http:
        header = {b"authorization": b"Bearer " + "pâté-0123456789-🔑".encode()}
        assert (await http.get("/api/v1/tags", headers=header)).status_code == 200


async def test_two_authorizations_are_none(http: httpx.AsyncClient) -> None:
    headers = [("Authorization", f"Bearer {TOKENS['viewer']}"), ("Authorization", f"Bearer {TOKENS['admin']}")]
    assert (await http.get("/api/v1/tags", headers=headers)).status_code == 400


async def test_a_secret_in_a_url_is_refused_also_if_it_is_right(http: httpx.AsyncClient, hall: Hall) -> None:
    for name in ("token", "access_token", "ACCESS_TOKEN", "api_key", "access%5Ftoken", "password"):
        for path in ("/api/v1/tags", "/livez", "/i3x/v1/info", "/"):
            for headers in ({}, bearer(TOKENS["admin"])):
                answer = await http.get(f"{path}?{name}={TOKENS['admin']}", headers=headers)
                assert answer.status_code == 400
                assert TOKENS["admin"] not in answer.text
    assert not any(TOKENS["admin"] in str(entry) for entry in hall.audit.entries)


async def test_headers_that_speak_of_others_are_not_believed(http: httpx.AsyncClient, hall: Hall) -> None:
    lies = {
        "X-Forwarded-For": "10.9.9.9", "Forwarded": "for=10.9.9.9", "X-Real-IP": "10.9.9.9", "X-Remote-User": "admin",
        "X-HTTP-Method-Override": "PUT", "X-Original-URL": "/livez", "X-Rewrite-URL": "/livez", "Host": "localhost",
    }  # fmt: skip
    assert (await http.get("/api/v1/tags", headers=lies)).status_code == 401
    assert {entry.address for entry in hall.audit.entries} == {"127.0.0.1"}
    assert (await http.get("/api/v1/tags", headers=lies | bearer(TOKENS["viewer"]))).status_code == 200


PATHS = [
    "/API/V1/config", "//api/v1/config", "/api//v1/config", "/api/v1/config/", "/./api/v1/config",
    "/livez/../api/v1/config", "/api/v1/%63onfig", "/static-offline-docs/../api/v1/config",
    "/static-offline-docs/%2e%2e/api/v1/config", "/api/v1/config;x", "/livez/",
]  # fmt: skip


async def test_no_way_of_writing_a_path_gets_around_the_door(http: httpx.AsyncClient) -> None:
    for path in PATHS:
        answer = await http.get(path)
        assert answer.status_code in (401, 404, 307, 405), answer.text
        assert "site:" not in answer.text
        assert (await http.get(path, headers=bearer(TOKENS["viewer"]))).status_code in (403, 404, 307)


# --- by password --------------------------------------------------------------------------


async def test_a_login_is_good_until_logout(http: httpx.AsyncClient, hall: Hall) -> None:
    made = await login(http, "user-operator")
    assert made.status_code == 200
    assert made.headers["cache-control"] == "no-store"
    assert (made.json()["role"], made.json()["user"]) == ("operator", "user-operator")
    token = made.json()["token"]
    assert await ask(http, "GET", "/api/v1/tags", token) == 200
    assert await ask(http, "POST", "/api/v1/logout", token) == 204
    assert await ask(http, "GET", "/api/v1/tags", token) == 401
    told = [(one.action, one.who, one.outcome) for one in hall.audit.entries if one.action in ("login", "logout")]
    assert told == [("login", "user-operator", "done"), ("logout", "user-operator", "done")]
    assert not any(token in str(one) or PASSWORD in str(one) for one in hall.audit.entries)


async def test_whether_there_is_a_user_cannot_be_told(http: httpx.AsyncClient, hall: Hall) -> None:
    wrong = [await login(http, user, "guess") for user in ("user-viewer", "eve", "", PASSWORD)]
    told = [(one.status_code, one.text, {**one.headers}) for one in wrong]
    assert told == [told[0]] * 4
    assert told[0][0] == 401
    assert {one.object for one in hall.audit.entries} == {"user-viewer", "a user who is not known"}


async def test_whoever_guesses_has_to_wait_and_others_have_not(http: httpx.AsyncClient) -> None:
    for user in ("user-viewer", "eve"):
        found = [(await login(http, user, "guess")).status_code for _ in range(7)]
        assert found == [401] * 5 + [429] * 2
        answer = await login(http, user, "guess")
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.headers["content-type"] == "application/problem+json"
    assert (await login(http, "user-viewer")).status_code == 429, "also if it is right now"
    assert (await login(http, "user-admin")).status_code == 200


NO_LOGINS = [
    {}, {"user": "x"}, {"user": 1, "password": "x"}, {"user": ["x"], "password": {}}, [], "x",
    {"user": "x", "password": "x" * 5000}, {"user": "x" * 5000, "password": "x"},
    {"user": "x", "password": "x", "role": "admin"},
]  # fmt: skip


async def test_what_is_no_login_is_422_and_not_repeated(http: httpx.AsyncClient) -> None:
    for body in NO_LOGINS:
        answer = await http.post("/api/v1/login", json=body)
        assert answer.status_code in (413, 422), body
        assert "xxx" not in answer.text


async def test_tools_that_only_know_basic_may_come_too(http: httpx.AsyncClient) -> None:
    for _ in range(2):
        assert (await http.get("/api/v1/tags", auth=("user-viewer", PASSWORD))).status_code == 200
    assert (await http.get("/api/v1/config", auth=("user-viewer", PASSWORD))).status_code == 403
    assert (await http.get("/api/v1/tags", auth=("user-viewer", "guess"))).status_code == 401
    assert (await http.get("/api/v1/tags", auth=("eve", PASSWORD))).status_code == 401


async def test_basic_is_off_unless_it_is_wanted(tmp_path: Path, hall: Hall) -> None:
    keys = Api.model_validate({"users": {"alice": {"password": HASH}}})
    async with served(hall, tmp_path, {}, keys=keys) as http:
        answer = await http.get("/api/v1/tags", auth=("alice", PASSWORD))
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


# --- how often ----------------------------------------------------------------------------


async def test_a_client_that_asks_too_often_is_told_when_to_come_again(tmp_path: Path, hall: Hall) -> None:
    keys = Api.model_validate({"rate": 1})
    async with served(hall, tmp_path, CLIENTS, keys=keys) as http:
        found = [await http.get("/api/v1/tags", headers=bearer(TOKENS["viewer"])) for _ in range(7)]
        assert [one.status_code for one in found[:5]] == [200] * 5
        assert found[6].status_code == 429
        assert found[6].headers["content-type"] == "application/problem+json"
        assert int(found[6].headers["retry-after"]) >= 1
        assert await ask(http, "GET", "/api/v1/tags", TOKENS["admin"]) == 200
        assert await ask(http, "GET", "/livez") == 200
    assert ("GET", "viewer", "refused") in [(one.action, one.who, one.outcome) for one in hall.audit.entries]


async def test_strangers_are_slowed_down_and_those_beside_them_are_not(tmp_path: Path, hall: Hall) -> None:
    async with served(hall, tmp_path, CLIENTS) as http:
        found = [await ask(http, "GET", "/api/v1/tags", f"guess-{i}") for i in range(260)]
        assert (found[0], found[-1]) == (401, 429)
        assert await ask(http, "GET", "/api/v1/tags", TOKENS["viewer"]) == 200
