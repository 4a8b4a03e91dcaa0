"""The section of the REST API, `api`: where it listens, and who may do what."""

from typing import Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from gateway.config.texts import Keys, Listen, Segment


class ApiToken(Keys):
    """A token that is good for less than the plain ones."""

    token: str = Field(description="the token itself, as ${NAME}")
    role: Literal["viewer", "operator", "engineer", "admin"] = Field(
        default="viewer",
        description="viewer looks; operator also writes, if a writer; engineer also changes the configuration",
    )
    expires: AwareDatetime | None = Field(default=None, description="until when it is good, as 2027-01-01T00:00:00Z")


class Api(Keys):
    """The REST API and the live page."""

    listen: Listen = Field(default="127.0.0.1:8080", description="address and port")
    tokens: dict[Segment, str | ApiToken] = Field(
        default={}, description="name of each client and its bearer token, as ${NAME}, or token, role and expires"
    )
    writers: list[Segment] = Field(default=[], description="names of those in tokens who may write to devices")

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])

    def clients(self) -> dict[str, tuple[str, str, int | None]]:
        """Return token, role and end [ns] by name; a token without a role is an operator's."""
        found: dict[str, tuple[str, str, int | None]] = {}
        for name, one in self.tokens.items():
            if isinstance(one, str):
                found[name] = (one, "operator", None)
            else:
                end = None if one.expires is None else int(one.expires.timestamp()) * 10**9
                found[name] = (one.token, one.role, end)
        return found

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if self.host not in ("127.0.0.1", "::1", "localhost") and not self.tokens:
            raise ValueError(
                f"listening on {self.listen} lets others in, and there are no tokens: add api.tokens,"
                " or listen on 127.0.0.1"
            )
        for name, (token, role, _) in self.clients().items():
            if role == "viewer" and name in self.writers:
                raise ValueError(f"writers: {name} is a viewer: give its token the role operator, or take it out")
            if len(token) < 16:
                raise ValueError(f"the token of {name} is shorter than 16 characters")
        for name in self.writers:
            if name not in self.tokens:
                known = ", ".join(self.tokens) or "none"
                raise ValueError(f"writers: {name} has no token: add it to api.tokens, or name one that has ({known})")
        return self
