"""An identity provider: a real HTTP server with a discovery document and keys of its own, and tokens that it signs."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.types import Receive, Scope, Send

from gateway.ports import listener
from gateway.serving import serving
from tests.certificates import rsa_key
from tests.simulation.loop import EPOCH_NS

AUDIENCE: Final = "gateway-dresden"
NOW_S: Final = EPOCH_NS // 10**9


@cache
def elliptic(number: int = 0) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


class Issuer:
    """`keys` are the private keys whose public ones it tells, by kid; `answers` replace what it says of a path."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: dict[str, Any] = {"first": rsa_key(11), "second": elliptic()}
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        self.asked[path] += 1
        status, body = self.answers.get(path) or (200, orjson.dumps(self._says(path)))
        headers = [(b"content-type", b"application/json"), (b"location", b"http://127.0.0.1:1/")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _says(self, path: str) -> Any:
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        return {"keys": [public(kid, key) for kid, key in self.keys.items()]}

    def token(self, *, kid: str = "first", key: Any = None, alg: str = "RS256", head: Any = None, **claims: Any) -> str:
        """A token for an engineer who is good for five minutes, but for what is said otherwise; None leaves out."""
        whole = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "alice",
            "exp": NOW_S + 300,
            "nbf": NOW_S,
            "roles": ["gw-engineers"],
        } | claims
        known = {name: value for name, value in whole.items() if value is not None}
        return jwt.encode(known, key or self.keys[kid], alg, {"kid": kid, **(head or {})})


def public(kid: str, key: Any, **more: Any) -> dict[str, Any]:
    """What a provider tells of a key."""
    kind: Any = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    return {**kind.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig", **more}


@asynccontextmanager
async def issuer(tls: Any = None) -> AsyncIterator[Issuer]:
    with listener("127.0.0.1", 0) as socket:
        one = Issuer(f"{'https' if tls else 'http'}://127.0.0.1:{socket.getsockname()[1]}")
        async with serving(one, socket, tls):
            yield one
