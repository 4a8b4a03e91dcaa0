"""The keys of an identity provider (JWKS, RFC 7517): fetched when a token needs them, kept, and not fetched too often.

A key that is not known is looked for once a minute at most, whatever comes; all are looked at anew every hour, so one
that the provider takes back is not believed for longer. While the provider is away the keys that are known go on being
believed for a day.
"""

import asyncio
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, Final

from api.identity.caller import Denied
from gateway.config import ApiOidc

MINIMUM_S: Final = 60.0
FRESH_S: Final = 3600.0
BELIEVED_S: Final = 86_400.0
_TIMEOUT_S: Final = 5.0
_BYTES_MAX: Final = 1 << 20
_KEYS_MAX: Final = 100
_KINDS: Final = ("RSA", "EC", "OKP")
"""Keys of pairs only: with a secret that both sides have, whoever can check a token can make one."""

Key = Mapping[str, Any]
Fetch = Callable[[str], Any]


class ProviderKeys:
    """The keys by their `kid`. `now_s` is a steady clock; `fetch` returns the JSON of a URL, in a thread."""

    def __init__(self, keys: ApiOidc, now_s: Callable[[], float], fetch: Fetch | None = None) -> None:
        self._issuer = keys.issuer
        self._url = keys.jwks or ""
        self._now_s = now_s
        self._fetch = fetch or _Fetch(keys.ca)
        self._turn = asyncio.Lock()
        self._known: dict[str, Key] = {}
        self._asked_s = self._fetched_s = -float("inf")
        self.trouble = ""

    async def find(self, kid: str) -> Key | None:
        """Return a key, None if the provider has none of that name; the only one there is for a token without a name.

        Raises Denied 503 if the provider has not been reached for so long that nobody knows.
        """
        if self._pick(kid) is None or self._now_s() - self._fetched_s > FRESH_S:
            await self._refresh(kid)
        if self._now_s() - self._fetched_s > BELIEVED_S:
            raise Denied(503, "the keys of the identity provider cannot be fetched", {"Retry-After": "60"})
        return self._pick(kid)

    def _pick(self, kid: str) -> Key | None:
        if kid:
            return self._known.get(kid)
        return next(iter(self._known.values())) if len(self._known) == 1 else None

    async def _refresh(self, kid: str) -> None:
        """Fetch the keys, if that was not tried lately; whoever waited for another's fetch has its result."""
        async with self._turn:
            if self._now_s() - self._asked_s < MINIMUM_S:
                return
            self._asked_s = self._now_s()
            try:
                self._known = await asyncio.to_thread(self._keys)
            except (OSError, ValueError) as error:
                self.trouble = str(error)
            else:
                self._fetched_s, self.trouble = self._now_s(), ""

    def _keys(self) -> dict[str, Key]:
        """Fetch the keys that sign. Raises OSError, or ValueError for what is no set of keys."""
        if not self._url:
            said = self._fetch(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
            if not isinstance(said, dict) or said.get("issuer") != self._issuer:
                raise ValueError("what the provider says of itself names another issuer")
            self._url = _same_security(str(said.get("jwks_uri", "")), self._issuer)
        found = self._fetch(self._url)
        keys = found.get("keys") if isinstance(found, dict) else None
        if not isinstance(keys, list):
            raise ValueError("the provider's keys are no JSON Web Key Set")
        signing = [
            key
            for key in keys[:_KEYS_MAX]
            if isinstance(key, dict) and key.get("kty") in _KINDS and key.get("use", "sig") == "sig"
        ]
        return {str(key.get("kid", "")): key for key in signing}


class _Fetch:
    """GET of JSON: no redirects, no other schemes, not for long and not much."""

    def __init__(self, ca: str) -> None:
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca or None)),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
        ):
            self._opener.add_handler(handler)

    def __call__(self, url: str) -> Any:
        """Raises OSError, or ValueError for what is no JSON."""
        request = urllib.request.Request(url, headers={"Accept": "application/json"})
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                body = answer.read(_BYTES_MAX + 1)
        except urllib.error.HTTPError as error:
            error.close()
            raise OSError(f"{url} answers {error.code}") from None
        if len(body) > _BYTES_MAX:
            raise ValueError(f"{url} answers with more than {_BYTES_MAX} bytes")
        try:
            return json.loads(body)
        except RecursionError:
            raise ValueError(f"{url} answers with JSON that is nested too deeply") from None


def _same_security(url: str, issuer: str) -> str:
    """The URL, if it is as safe as that of the issuer. Raises ValueError."""
    if not url.startswith(("https://", "http://")) or (issuer.startswith("https://") and url.startswith("http://")):
        raise ValueError("the provider says that its keys are at a URL that is not https")
    return url
