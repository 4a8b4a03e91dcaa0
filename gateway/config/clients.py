"""The section of the REST API, `api`: where it listens, and who may do what."""

from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network
from typing import Self

from pydantic import Field, model_validator

from gateway.config.identities import ApiOidc, ApiTls, ApiToken, ApiUser, PageOrigin, Role
from gateway.config.texts import Keys, Listen, Seconds, Segment

TOKEN_MIN = 16


class Api(Keys):
    """The REST API and the live page."""

    listen: Listen = Field(default="127.0.0.1:8080", description="address and port")
    tokens: dict[Segment, str | ApiToken] = Field(
        default={}, description="name of each client and its bearer token, as ${NAME}, or token, role and expires"
    )
    users: dict[Segment, ApiUser] = Field(default={}, description="those who log in by a password, by name")
    oidc: ApiOidc | None = Field(default=None, description="an identity provider whose tokens are believed")
    writers: list[Segment] = Field(default=[], description="those in tokens and users who may write to devices")
    session: Seconds = Field(default=8 * 3600.0, ge=60, description="how long a login is good")
    basic: bool = Field(default=False, description="whether users may also come by HTTP Basic")
    rate: float = Field(default=100.0, ge=1, description="requests per second of each; five times as many at once")
    cors: list[PageOrigin] = Field(default=[], description="origins of other pages whose scripts may ask")
    proxies: list[IPv4Network | IPv6Network] = Field(
        default=[], description="addresses of reverse proxies whose X-Forwarded-For and -Proto are believed"
    )
    tls: ApiTls | None = Field(default=None, description="certificate and key, for HTTPS")

    mcp: bool = Field(default=False, description="whether language models may read, by MCP at /mcp")

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])

    @property
    def warning(self) -> str:
        """What may not be meant, and the remedy."""
        if self._on_this_machine or self.tls is not None:
            return ""
        return "passwords and tokens cross the network as they are: add api.tls, or put a proxy with TLS in front"

    def keys(self) -> dict[str, ApiToken]:
        """Return the tokens by name; one without a role is an operator's."""
        return {
            name: ApiToken(token=one, role="operator") if isinstance(one, str) else one
            for name, one in self.tokens.items()
        }

    @property
    def _on_this_machine(self) -> bool:
        return self.host in ("127.0.0.1", "::1", "localhost")

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if not self._on_this_machine and not (self.tokens or self.users or self.oidc):
            raise ValueError(
                f"listening on {self.listen} lets others in, and there are no tokens: add api.tokens,"
                " api.users or api.oidc, or listen on 127.0.0.1"
            )
        if self.mcp and find_spec("mcp") is None:
            raise ValueError("mcp: the SDK is not there: pip install 'itot-gateway[mcp]', or take it out")
        for name, one in self.keys().items():
            if len(one.token) < TOKEN_MIN:
                raise ValueError(f"the token of {name} is shorter than {TOKEN_MIN} characters")
        if both := self.tokens.keys() & self.users.keys():
            raise ValueError(f"users: {min(both)} is the name of a token as well: give one of them another")
        self._check_writers({name: one.role for name, one in (self.keys() | self.users).items()})
        return self

    def _check_writers(self, roles: dict[str, Role]) -> None:
        for name in self.writers:
            if name not in roles:
                known = ", ".join(roles) or "none"
                raise ValueError(f"writers: {name} has no token: add it to api.tokens, or name one that has ({known})")
            if roles[name] == "viewer":
                raise ValueError(f"writers: {name} is a viewer: give its token the role operator, or take it out")
