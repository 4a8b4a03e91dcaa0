"""What the audit trail hears from the API: changes, exports and refusals, of whom and from where, and no secret."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from api.access import Client
from gateway.audit import AuditFile, AuditLog, Entry
from gateway.audit.verify import verify
from gateway.config import Api
from tests.drive import SPEED, Hall, Still, served
from tests.inline import inline
from tests.issuer import AUDIENCE, issuer

CLIENTS = {
    "erp": Client("erp-0123456789abcdef", "operator"),
    "spy": Client("spy-0123456789abcdef", "viewer"),
    "eng": Client("eng-0123456789abcdef", "engineer"),
    "mes": Client("mes-0123456789abcdef", "operator", tags=("*/drive/steps",)),
}


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {CLIENTS[name].token}"}


def told(hall: Hall) -> list[tuple[Any, ...]]:
    return [(one.action, one.object, one.outcome, one.who, one.how, one.address) for one in hall.audit.entries]


async def write(http: httpx.AsyncClient, headers: dict[str, str], **wish: Any) -> httpx.Response:
    return await http.post("/api/v1/writes", json={"id": "w1", "tag": SPEED, "value": 120} | wish, headers=headers)


async def test_each_deed_is_told_once_with_who_and_from_where(tmp_path: Path) -> None:
    hall = Hall(Still())
    async with served(hall, tmp_path, CLIENTS) as http:
        assert (await write(http, bearer("erp"))).status_code == 200
        assert (await write(http, bearer("erp"), id="w2", value=900)).status_code == 422
        assert (await write(http, bearer("erp"), value="not JSON" * 1000)).status_code == 422
        assert (await http.post("/api/v1/writes", content="secret=1", headers=bearer("erp"))).status_code == 415
        assert (await write(http, bearer("spy"))).status_code == 403
        assert (await http.get("/api/v1/history/x?from=-1h", headers=bearer("spy"))).status_code == 404
        assert (await http.get("/api/v1/tags", headers=bearer("spy"))).status_code == 200
        assert (await http.get("/api/v1/tags")).status_code == 401
        assert (await http.get("/i3x/v1/objects")).status_code == 401
        assert (await http.get("/api/v1/config", headers=bearer("eng"))).status_code == 404
    here = ("token", "127.0.0.1")
    assert told(hall) == [
        ("write", SPEED, "done", "erp", *here),
        ("write", SPEED, "refused", "erp", *here),
        ("write", SPEED, "refused", "erp", *here),
        ("POST", "/api/v1/writes", "refused", "erp", *here),
        ("POST", "/api/v1/writes", "refused", "spy", *here),
        ("GET", "/api/v1/history/x", "refused", "spy", *here),
        ("GET", "/api/v1/tags", "refused", "", "", "127.0.0.1"),
        ("GET", "/i3x/v1/objects", "refused", "", "", "127.0.0.1"),
        ("GET", "/api/v1/config", "refused", "eng", *here),
    ]
    assert hall.audit.entries[0].value == 120
    assert not any("secret" in str(one) or "0123456789" in str(one) for one in hall.audit.entries)


async def test_the_trail_is_read_by_pages_and_reading_it_is_told_too(tmp_path: Path) -> None:
    hall, file = Hall(Still()), AuditFile(tmp_path / "audit", 1 << 20, Still())
    hall.audit = AuditLog(file, inline, Still())  # type: ignore[assignment]  # it has a list otherwise
    for i in range(7):
        hall.audit.add(Entry("write", str(i), "done", who="MQTT"))
    async with served(hall, tmp_path, CLIENTS) as http:
        found: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            url = f"/api/v1/audit?limit=3&action=write&cursor={cursor}"
            page = (await http.get(url, headers=bearer("eng"))).json()
            found += [record["object"] for record in page["records"]]
            cursor = page["next"]
        assert found == list("6543210")
        newest = (await http.get("/api/v1/audit?who=eng", headers=bearer("eng"))).json()["records"]
        assert [(one["action"], one["object"], one["address"]) for one in newest] == [
            ("export", "/api/v1/audit", "127.0.0.1")
        ] * 3
        assert {len(newest[0]["hash"]), len(newest[0]["prev"])} == {64}
        assert (await http.get("/api/v1/audit?who=nobody", headers=bearer("eng"))).json() == {
            "records": [],
            "next": None,
        }
        for cursor in ("x", "0", "-1", "²", "9" * 20, "1.5"):
            status = (await http.get("/api/v1/audit", params={"cursor": cursor}, headers=bearer("eng"))).status_code
            assert status == (200 if cursor == "9" * 20 else 422)
    file.close()
    assert verify(tmp_path / "audit").wrong == []


async def test_a_token_for_some_tags_writes_those(tmp_path: Path) -> None:
    hall = Hall(Still())
    async with served(hall, tmp_path, CLIENTS) as http:
        assert (await write(http, bearer("mes"), tag="hall/drive/steps")).status_code == 200
        answer = await write(http, bearer("mes"), id="w2")
        assert answer.status_code == 403
        assert "is for other tags" in answer.json()["detail"]
        arguments = {"Position": 1, "Mode": "slow", "Enable": True}
        call = {"id": "c1", "method": "hall/drive/move", "arguments": arguments}
        assert (await http.post("/api/v1/calls", json=call, headers=bearer("mes"))).status_code == 403
    assert [value for _, value in hall.drive.written] == [120]
    assert hall.drive.called == []


@pytest.mark.parametrize(("roles", "status"), [(["makers"], 200), (["lookers", "operators"], 403)])
async def test_the_provider_says_who_may_write(tmp_path: Path, roles: list[str], status: int) -> None:
    hall = Hall(Still())
    async with issuer() as one:
        groups = {"makers": "operator", "operators": "operator", "lookers": "viewer"}
        keys = {"issuer": one.url, "audience": AUDIENCE, "roles": groups, "writers": ["makers"]}
        async with served(hall, tmp_path, {}, keys=Api.model_validate({"oidc": keys})) as http:
            answer = await write(http, {"Authorization": f"Bearer {one.token(roles=roles)}"})
    assert answer.status_code == status
    assert told(hall)[-1][3:] == ("oidc:alice", "oidc", "127.0.0.1")
    assert len(hall.drive.written) == (status == 200)


async def test_nobody_takes_the_name_of_another(tmp_path: Path) -> None:
    """A provider may call somebody as it likes: that is no name of the configuration, nor that of the bus."""
    hall = Hall(Still())
    async with issuer() as one:
        keys = {"issuer": one.url, "audience": AUDIENCE, "roles": {"operators": "operator"}}
        async with served(hall, tmp_path, {}, keys=Api.model_validate({"oidc": keys})) as http:
            for i, name in enumerate(("erp", "mes", "MQTT", "oidc:erp", "erp\n", "sparkplug host")):
                token = one.token(sub=name, roles=["operators"])
                assert (await write(http, {"Authorization": f"Bearer {token}"}, id=f"w{i}")).status_code == 403
    assert hall.drive.written == []
