"""Bearer tokens of an identity provider: JSON Web Tokens (RFC 7519, 8725), checked by PyJWT with keys of keys.py.

What a token says of itself is believed of two things only: which of the provider's keys it is signed by, and with which
of the algorithms that the configuration allows. `none` and secrets that both sides share are not among these.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import jwt

from api.identity.caller import Caller
from api.identity.keys import Fetch, Key, ProviderKeys
from gateway.config import ApiOidc
from gateway.quoting import line

PREFIX: Final = "oidc:"
"""Before the names of those whom the provider knows; no name of the configuration has a colon."""
_RSA_BITS_MIN: Final = 2048
_NAME_MAX: Final = 150
_RANKS: Final = ("viewer", "operator", "engineer", "admin")


class Wrong(Exception):
    """A token that is not believed, and why: for the audit trail, not for whoever sent it."""


class Oidc:
    """Says who has a token. `now_ns` is the wall clock, `now_s` a steady one."""

    def __init__(
        self, keys: ApiOidc, now_ns: Callable[[], int], now_s: Callable[[], float], fetch: Fetch | None = None
    ) -> None:
        self._asked = keys
        self._now_ns = now_ns
        self._keys = ProviderKeys(keys, now_s, fetch)

    async def caller(self, token: str) -> Caller:
        """Return who has a token. Raises Wrong if it is not believed, Denied if that cannot be known now."""
        kid, algorithm = self._header(token)
        key = await self._keys.find(kid)
        if key is None:
            raise Wrong(f"it is signed by a key that the provider does not have {self._keys.trouble}".rstrip())
        claims = self._claims(token, key, algorithm)
        ends_s = self._check_times(claims)
        return self._known(claims, ends_s)

    def _header(self, token: str) -> tuple[str, str]:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.InvalidTokenError, RecursionError) as error:
            raise Wrong(f"it is no JSON Web Token: {type(error).__name__}") from None
        algorithm, kid = header.get("alg"), header.get("kid", "")
        if algorithm not in self._asked.algorithms:
            raise Wrong("it is signed with an algorithm that is not one of api.oidc.algorithms")
        if "crit" in header or "b64" in header or not isinstance(kid, str):
            raise Wrong("its header asks for what is not understood here")
        return kid, str(algorithm)

    def _claims(self, token: str, key: Key, algorithm: str) -> Mapping[str, Any]:
        """The claims of a token, if the key has signed them and they are for us."""
        if key.get("alg", algorithm) != algorithm:
            raise Wrong("its key is for another algorithm")
        try:
            public = jwt.PyJWK.from_dict(dict(key), algorithm)
            if getattr(public.key, "key_size", _RSA_BITS_MIN) < _RSA_BITS_MIN and key["kty"] == "RSA":
                raise Wrong(f"its key is shorter than {_RSA_BITS_MIN} bits")
            options: Any = {
                "require": ["exp", "iss", "aud"],
                "verify_exp": False,  # by the clock that the gateway has, below
                "verify_nbf": False,
                "verify_iat": False,
            }
            claims: Mapping[str, Any] = jwt.decode(
                token,
                public.key,
                algorithms=[algorithm],
                audience=self._asked.audience,
                issuer=self._asked.issuer,
                options=options,
            )
        except (jwt.PyJWTError, RecursionError) as error:
            raise Wrong(f"it is not believed: {type(error).__name__}") from None
        return claims

    def _check_times(self, claims: Mapping[str, Any]) -> float:
        """Return until when a token is good [s since 1970 UTC]. Raises Wrong if it is not good now."""
        now_s = self._now_ns() / 1e9
        times = [claims["exp"], claims.get("nbf", 0), claims.get("iat", 0)]
        if any(isinstance(time, bool) or not isinstance(time, (int, float)) or not abs(time) < 2**53 for time in times):
            raise Wrong("its times are no numbers")
        ends_s, begins_s, made_s = times
        if now_s >= ends_s + self._asked.leeway:
            raise Wrong("it has expired")
        if max(begins_s, made_s) > now_s + self._asked.leeway:
            raise Wrong("it is not good yet")
        return float(ends_s) + self._asked.leeway

    def _known(self, claims: Mapping[str, Any], ends_s: float) -> Caller:
        name = claims.get(self._asked.name_claim)
        if not isinstance(name, str) or not name or len(name) > _NAME_MAX:
            raise Wrong(f"it has no {self._asked.name_claim} by which somebody could be known")
        said = set(_texts(claims, self._asked.role_claim))
        roles = [role for value, role in self._asked.roles.items() if value in said]
        return Caller(
            PREFIX + line(name),
            max(roles, key=_RANKS.index, default=""),
            "oidc",
            round(ends_s * 1e9),
            writes=bool(said.intersection(self._asked.writers)),
        )


def _texts(claims: Mapping[str, Any], path: str) -> Iterator[str]:
    """The texts of a claim, which may be one, a list, or several with blanks between; dots lead into objects.

    A claim may have dots or slashes in its own name, as some providers want it.
    """
    found: Any = claims.get(path)
    if found is None:
        found = claims
        for part in path.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        yield from (found, *found.split())
    elif isinstance(found, list):
        yield from (one for one in found if isinstance(one, str))
