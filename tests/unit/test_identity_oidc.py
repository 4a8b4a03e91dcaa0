"""Tokens of an identity provider: what is believed, of whom, and how often its keys are fetched."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api.identity.caller import Caller, Denied
from api.identity.keys import BELIEVED_S, FRESH_S, MINIMUM_S
from api.identity.oidc import Oidc, Wrong
from gateway.config import ApiOidc
from gateway.serving import tls_context
from tests.certificates import made, made_ca, rsa_key
from tests.issuer import AUDIENCE, NOW_S, Issuer, elliptic, issuer, public
from tests.simulation.loop import EPOCH_NS

ROLES = {"gw-engineers": "engineer", "gw-viewers": "viewer", "gw-operators": "operator"}


class Rig:
    """An issuer and who believes it; `now_s` is the steady clock."""

    def __init__(self, one: Issuer, **keys: Any) -> None:
        self.issuer = one
        self.now_s = 1000.0
        told = {"issuer": one.url, "audience": AUDIENCE, "roles": ROLES, "writers": ["gw-operators"]} | keys
        self.oidc = Oidc(ApiOidc.model_validate(told), lambda: EPOCH_NS, lambda: self.now_s)

    async def caller(self, token: str | None = None, **claims: Any) -> Caller:
        return await self.oidc.caller(self.issuer.token(**claims) if token is None else token)

    async def wrong(self, token: str | None = None, **claims: Any) -> str:
        with pytest.raises(Wrong) as error:
            await self.caller(token, **claims)
        return str(error.value)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with issuer() as one:
        yield Rig(one)


def segment(facts: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(facts).encode()).rstrip(b"=").decode()


async def test_a_token_says_who_somebody_is(rig: Rig) -> None:
    assert await rig.caller() == Caller("oidc:alice", "engineer", "oidc", (NOW_S + 330) * 10**9)
    assert (await rig.caller(kid="second", alg="ES256")).role == "engineer"
    operator = await rig.caller(roles=["gw-viewers", "gw-operators", "others"])
    assert (operator.role, operator.writes) == ("operator", True)
    assert (await rig.caller(roles=["nobody"])).role == ""
    assert (await rig.caller(roles=None)).role == ""
    assert (await rig.caller(aud=["others", AUDIENCE])).name == "oidc:alice"


async def test_roles_are_found_where_providers_have_them() -> None:
    async with issuer() as one:
        keycloak = Rig(one, role_claim="realm_access.roles")
        assert (await keycloak.caller(realm_access={"roles": ["gw-operators"]})).role == "operator"
        assert (await keycloak.caller(realm_access="gw-operators")).role == ""
        named = Rig(one, role_claim="https://acme.example/roles")
        assert (await named.caller(**{"https://acme.example/roles": "x gw-viewers"})).role == "viewer"


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"exp": NOW_S - 31}, "expired"),
        ({"exp": None}, "MissingRequiredClaim"),
        ({"exp": float("inf")}, ""),
        ({"exp": True}, "no numbers"),
        ({"nbf": NOW_S + 31}, "not good yet"),
        ({"iat": NOW_S + 31}, "not good yet"),
        ({"nbf": "soon"}, "no numbers"),
        ({"iss": "https://elsewhere.example"}, "InvalidIssuer"),
        ({"iss": None}, "MissingRequiredClaim"),
        ({"aud": "others"}, "InvalidAudience"),
        ({"aud": None}, "MissingRequiredClaim"),
        ({"aud": []}, ""),
        ({"sub": None}, "no sub"),
        ({"sub": ""}, "no sub"),
        ({"sub": "x" * 1000}, "no sub"),
        ({"key": rsa_key(12)}, "InvalidSignature"),
        ({"kid": "third", "key": rsa_key(12)}, "does not have"),
        ({"alg": "RS512"}, "algorithm"),
        ({"kid": "first", "key": elliptic(), "alg": "ES256"}, "InvalidKey"),
        ({"head": {"crit": ["exp"]}}, ""),
    ],
)
async def test_what_is_not_for_us_or_not_now_is_not_believed(rig: Rig, claims: dict[str, Any], said: str) -> None:
    assert said in await rig.wrong(**claims)


async def test_clocks_may_be_a_little_apart(rig: Rig) -> None:
    await rig.caller(exp=NOW_S - 29)
    await rig.caller(nbf=NOW_S + 29)


async def test_neither_no_signature_nor_a_public_key_as_secret_is_believed(rig: Rig) -> None:
    """RFC 8725 section 2.1: made by hand, for the library would not make them."""
    body = segment({"iss": rig.issuer.url, "aud": AUDIENCE, "sub": "eve", "exp": NOW_S + 60, "roles": list(ROLES)})
    for none in ("none", "None", "NONE", ""):
        assert "algorithm" in await rig.wrong(f"{segment({'alg': none, 'kid': 'first'})}.{body}.")
    pem = rsa_key(11).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for secret in (pem, pem.rstrip(), json.dumps(public("first", rsa_key(11))).encode()):
        text = f"{segment({'alg': 'HS256', 'kid': 'first'})}.{body}"
        mac = base64.urlsafe_b64encode(hmac.digest(secret, text.encode(), hashlib.sha256)).rstrip(b"=").decode()
        assert "algorithm" in await rig.wrong(f"{text}.{mac}")


async def test_keys_that_a_token_brings_are_not_looked_at(rig: Rig) -> None:
    own = rsa_key(12)
    for head in ({"jwk": public("first", own)}, {"jku": "http://127.0.0.1:1/keys"}, {"x5u": "http://127.0.0.1:1/"}):
        assert "InvalidSignature" in await rig.wrong(key=own, head=head)


@pytest.mark.parametrize("token", ["..", "a.b.c", "e30.e30.e30", "ey" * 4000 + ".e30.", "é.é.é", "[" * 5000 + ".."])
async def test_what_is_no_token_is_not_believed(rig: Rig, token: str) -> None:
    assert await rig.wrong(token)


@pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits")
async def test_secrets_and_weak_keys_of_a_provider_are_not_used(rig: Rig) -> None:
    weak = rsa_key(13, 1024)
    keys = [
        {"kty": "oct", "kid": "secret", "k": base64.urlsafe_b64encode(b"x" * 32).decode()},
        public("weak", weak),
        public("sealing", rsa_key(11), use="enc"),
        public("other", rsa_key(11), alg="RS512"),
        {"kty": "RSA", "kid": "broken", "n": "?", "e": 3},
        "nonsense",
    ]
    rig.issuer.answers["/keys"] = (200, json.dumps({"keys": keys}).encode())
    assert "shorter" in await rig.wrong(kid="weak", key=weak)
    for kid in ("secret", "sealing", "broken", "other"):
        assert await rig.wrong(kid=kid, key=rsa_key(11))


# --- its keys -----------------------------------------------------------------------------


async def test_keys_are_fetched_once_and_again_for_an_unknown_one_but_not_too_often(rig: Rig) -> None:
    for _ in range(5):
        await rig.caller()
    assert rig.issuer.asked["/keys"] == 1
    rig.issuer.keys["third"] = rsa_key(12)
    for _ in range(5):
        assert await rig.wrong(kid="third")
    assert rig.issuer.asked["/keys"] == 1
    rig.now_s += MINIMUM_S
    assert (await rig.caller(kid="third")).name == "oidc:alice"
    assert rig.issuer.asked["/keys"] == 2
    for i in range(50):
        await rig.wrong(kid=f"made up {i}", key=rsa_key(12))
    assert rig.issuer.asked["/keys"] == 2


async def test_a_key_that_is_taken_back_is_not_believed_for_longer_than_an_hour(rig: Rig) -> None:
    token = rig.issuer.token()
    await rig.caller(token)
    del rig.issuer.keys["first"]
    rig.now_s += FRESH_S + 1
    assert "does not have" in await rig.wrong(token)


async def test_while_the_provider_is_away_known_keys_are_believed_for_a_day(rig: Rig) -> None:
    await rig.caller()
    for answer in ((500, b""), (302, b""), (200, b"no JSON"), (200, b"[]"), (200, b"[" * 100_000), (200, b" " * 2**21)):
        rig.issuer.answers["/keys"] = answer
        rig.now_s += FRESH_S + 1
        await rig.caller()
    rig.now_s += BELIEVED_S
    with pytest.raises(Denied) as denied:
        await rig.caller()
    assert denied.value.status == 503


async def test_a_provider_that_names_another_issuer_or_plain_keys_is_not_believed(rig: Rig) -> None:
    another = {"issuer": "https://elsewhere.example", "jwks_uri": f"{rig.issuer.url}/keys"}
    file = {"issuer": rig.issuer.url, "jwks_uri": "file:///etc/passwd"}
    for says in (another, file, {}):
        rig.issuer.answers["/.well-known/openid-configuration"] = (200, json.dumps(says).encode())
        rig.now_s += MINIMUM_S
        with pytest.raises(Denied):
            await rig.caller()
    assert rig.issuer.asked["/keys"] == 0


async def test_the_provider_is_asked_by_tls_and_only_if_its_certificate_is_good(tmp_path: Path) -> None:
    ca = made_ca()
    server = made(issuer=ca, key=rsa_key(2))
    pem = server.certificate.public_bytes(Encoding.PEM)
    (tmp_path / "server.pem").write_bytes(pem)
    (tmp_path / "ca.pem").write_bytes(ca.certificate.public_bytes(Encoding.PEM))
    tls = tls_context(str(tmp_path / "server.pem"), str(server.write_key(tmp_path / "key.pem")))
    async with issuer(tls) as one:
        assert (await Rig(one, ca=str(tmp_path / "ca.pem")).caller()).name == "oidc:alice"
        with pytest.raises(Denied):
            await Rig(one).caller()
