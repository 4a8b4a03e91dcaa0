"""Who may use the API, and what keeps them apart: tokens, users, an identity provider, TLS. Keys of `api`."""

import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from gateway.config.texts import Keys, Seconds

Role = Literal["viewer", "operator", "engineer", "admin"]
Scope = Literal["read", "health", "write", "configure", "audit"]

_HASH: Final = re.compile(
    r"\$argon2id\$v=19\$m=(\d{1,8}),t=(\d{1,2}),p=(\d{1,2})\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{22,}"
)
_MEMORY_KIB: Final = (19_456, 1_048_576)
"""Less memory than 19 MiB is not what RFC 9106 and OWASP call safe; more than 1 GiB would stop the gateway."""
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


def _hashed(text: str) -> str:
    """A hash of argon2id that costs enough and not too much; what it is instead is never quoted."""
    found = _HASH.fullmatch(text)
    if found is None:
        raise ValueError("the password is no hash of argon2id: write what `gateway user hash` prints, or ${file:...}")
    memory, rounds, lanes = map(int, found.groups())
    if not (_MEMORY_KIB[0] <= memory <= _MEMORY_KIB[1] and 1 <= rounds <= 20 and 1 <= lanes <= 16):
        raise ValueError(
            f"a hash with m={memory},t={rounds},p={lanes} is too weak or too dear: use `gateway user hash`"
        )
    return text


def _secure_url(text: str) -> str:
    """An https URL; plain http only on this machine."""
    try:
        url = urlsplit(text)
        plain = url.scheme == "http" and url.hostname in _LOOPBACK
    except ValueError:
        raise ValueError("it is no URL: write https://...") from None
    if not url.hostname or not (url.scheme == "https" or plain) or url.username or url.query or url.fragment:
        raise ValueError("it must be an https URL without user, query and fragment, for what it tells is believed")
    return text


def _origin(text: str) -> str:
    """The origin of a page as browsers say it."""
    if not re.fullmatch(r"https?://[a-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?", text):
        raise ValueError(f"{text!r} is no origin: write scheme, host and port only, as https://grafana.example:3000")
    return text


SecureUrl = Annotated[str, AfterValidator(_secure_url)]
PageOrigin = Annotated[str, AfterValidator(_origin)]


class ApiToken(Keys):
    """A token that is good for less than the plain ones."""

    token: str = Field(description="the token itself, as ${NAME}", repr=False)
    role: Role = Field(
        default="viewer",
        description="viewer looks; operator also writes, if a writer; engineer also changes the configuration",
    )
    expires: AwareDatetime | None = Field(default=None, description="until when it is good, as 2027-01-01T00:00:00Z")
    scopes: list[Scope] | None = Field(
        default=None, min_length=1, description="only these of what its role may; default: all of it"
    )
    tags: list[str] = Field(default=[], description="only tags with these paths, by glob, asked for one by one")

    @property
    def expires_ns(self) -> int | None:
        return None if self.expires is None else int(self.expires.timestamp()) * 10**9


class ApiUser(Keys):
    """Somebody with a password."""

    password: Annotated[str, AfterValidator(_hashed)] = Field(
        description="its hash, as `gateway user hash` prints it, or ${file:...} with it", repr=False
    )
    role: Role = Field(default="viewer", description="as of a token")


class ApiOidc(Keys):
    """An identity provider whose bearer tokens are believed (OpenID Connect, JWT)."""

    issuer: SecureUrl = Field(description="its URL, exactly as tokens say it")
    audience: str = Field(min_length=1, description="what tokens for this gateway have as aud")
    jwks: SecureUrl | None = Field(default=None, description="where its keys are; default: as the issuer says")
    algorithms: list[
        Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
    ] = Field(default=["RS256", "ES256"], min_length=1, description="with which tokens may be signed")
    role_claim: str = Field(default="roles", description="where roles or groups are; dots lead into objects")
    roles: dict[str, Role] = Field(min_length=1, description="the role of each value of that claim; the highest counts")
    writers: list[str] = Field(default=[], description="values of that claim that may write to devices")
    name_claim: str = Field(default="sub", description="the claim by which somebody is known here")
    leeway: Seconds = Field(default=30.0, le=300, description="how far the clocks may be apart")
    ca: str = Field(default="", description="PEM file of those who vouch for the issuer; default: the machine's")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.ca and not Path(self.ca).is_file():
            raise ValueError(f"ca: {self.ca} is no file: name a PEM file that can be read")
        for name in self.writers:
            if self.roles.get(name, "viewer") == "viewer":
                raise ValueError(f"writers: {name} is no operator: give it a role in roles that may write")
        return self


class ApiTls(Keys):
    """The certificate of the API, as paths of PEM files; with it the API speaks HTTPS only."""

    cert: str = Field(description="certificate, and those between it and the CA")
    key: str = Field(description="its key")

    @model_validator(mode="after")
    def _there(self) -> Self:
        for name in (self.cert, self.key):
            if not Path(name).is_file():
                raise ValueError(f"{name} is no file: name a PEM file that can be read")
        return self
