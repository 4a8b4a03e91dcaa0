"""Security of a session: which endpoint, whose certificates, which user. Knows no subscription and no node.

    connect: opc.tcp://user:${PASSWORD}@192.168.0.9:4840
    security: {policy: basic256sha256}

asyncua has the cryptography and leaves the decisions to others. It trusts any server unless told otherwise, takes the
first user token policy even if that sends the password readable, and does not compare the endpoints of the session
with those of discovery. So all is decided here, before a channel is opened: the endpoint with exactly the policy and
mode of the configuration, a certificate that stands every check, a token policy that protects the password. asyncua
then insists on that very certificate (OpenSecureChannel, CreateSession).
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, Self
from urllib.parse import unquote, urlsplit

from asyncua import Client, ua
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from pydantic import Field, model_validator

from connectors._opcua.endpoints import MODES, POLICIES, WHO, choose, discover, essence, refused, user_token
from connectors._opcua.pki import Own, Pki, certificates, private_key, read_certificates
from connectors._opcua.validation import faults, shown, subject, thumbprint
from connectors._options import Options
from gateway.contracts import Clock, DeviceError
from gateway.model import Quality

_USER_REFUSED: Final = ("BadUserAccessDenied", "BadIdentityTokenRejected", "BadIdentityTokenInvalid")
_POLICY_REFUSED: Final = ("BadSecurityPolicyRejected", "BadSecurityModeRejected")


class SecurityOptions(Options):
    """Keys of the security of an OPC UA server. Without them: no policy, anonymous unless `connect` names a user."""

    policy: Literal["none", "basic256sha256", "aes128_sha256_rsaoaep", "aes256_sha256_rsapss"] = Field(
        default="none", description="security policy; the server must offer exactly this one"
    )
    mode: Literal["sign", "sign_and_encrypt"] = Field(
        default="sign_and_encrypt", description="what is done to messages; the server must offer exactly this"
    )
    user_certificate: Path | None = Field(default=None, description="certificate of the user, instead of a password")
    user_key: Path | None = Field(default=None, description="private key of user_certificate, RSA, PEM or DER")
    ignore: list[Literal["host_name", "validity"]] = Field(
        default=[], description="checks of the server's certificate that are left out"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if "mode" in self.model_fields_set and self.policy == "none":
            raise ValueError(f"mode: {self.mode} does nothing without a policy: add policy: basic256sha256")
        if (self.user_certificate is None) != (self.user_key is None):
            raise ValueError("user_certificate and user_key belong together: add the other one")
        return self

    @property
    def message_mode(self) -> ua.MessageSecurityMode:
        return ua.MessageSecurityMode.None_ if self.policy == "none" else MODES[self.mode]


@dataclass(frozen=True, slots=True)
class _User:
    """Who we are to the server."""

    kind: ua.UserTokenType
    name: str = ""
    password: str = field(default="", repr=False)


def check(url: str, options: SecurityOptions) -> None:
    """Raise ValueError if the URL and the options contradict each other."""
    if urlsplit(url).username and options.user_certificate:
        raise ValueError("there are two users: take the one out of connect, or security.user_certificate")


async def prepare(client: Client, url: str, options: SecurityOptions, folder: Path, clock: Clock) -> None:
    """Make a client ready to open a channel and a session, a new or the old one; before every time.

    `folder` is the data directory. Raises DeviceError if the server is not to be trusted, does not offer what the
    configuration wants, or would get a password that others can read; OSError, TimeoutError or ua.UaError if it cannot
    be asked. Without policy and user nothing is done.
    """
    user = _user(url, options)
    if options.policy == "none" and user.kind is ua.UserTokenType.Anonymous:
        return
    now = datetime.fromtimestamp(clock.now_ns() / 1e9, UTC)
    endpoints = await discover(client, url)
    endpoint = choose(endpoints, options.policy, options.message_mode)
    token = user_token(endpoint, user.kind)
    pki = Pki(folder / "pki")
    with _files():
        own = pki.own(now) if options.policy != "none" else None  # first, so that both sides can be trusted in one go
        server = _server(endpoint, urlsplit(url).hostname or "", pki, options, now)
        _identify(client, user, options)
    _secure(client, server, own, options)
    _insist(client, endpoints if options.policy != "none" else (), token)


@asynccontextmanager
async def explained(client: Client, url: str, options: SecurityOptions, folder: Path) -> AsyncIterator[None]:
    """Say in one DeviceError why a server did not let us in, and what to do.

    To be put around what opens channel and session, and nothing else. Other errors pass as they are.
    """
    try:
        yield
    except AssertionError as error:  # asyncua's, when the answer to OpenSecureChannel is a fault; its code is lost
        raise refused(f"the server refuses the secure channel; {_trust_us(folder)}") from error
    except InvalidSignature as error:
        raise refused("the server does not own the certificate that it shows: its signature is wrong") from error
    except ua.UaStatusCodeError as error:
        name = ua.StatusCode(error.code).name
        if name in _USER_REFUSED:
            raise DeviceError(_user_refused(name, url, options), Quality.BAD_USER_ACCESS_DENIED) from error
        if name in _POLICY_REFUSED:
            choose(await discover(client, url), options.policy, options.message_mode)
        if name.startswith("BadCertificate") or name == "BadSecurityChecksFailed":
            raise refused(f"the server does not accept our certificate ({name}); {_trust_us(folder)}") from error
        raise
    except ua.UaError as error:
        if "certificate mismatch" in str(error):
            raise refused("the session shows another certificate than discovery did") from error
        if "No matching endpoints" in str(error):  # of the session, where no discovery went before
            choose(await discover(client, url), options.policy, options.message_mode)
        raise
    except ConnectionError as error:
        if options.policy == "none" or isinstance(error, ConnectionRefusedError):
            raise
        raise ConnectionError(f"{error}; some servers do so to strangers: {_trust_us(folder)}") from error


# --- certificates -------------------------------------------------------------------------


def _server(
    endpoint: ua.EndpointDescription, host: str, pki: Pki, options: SecurityOptions, now: datetime
) -> x509.Certificate:
    """The server's certificate, if it is as it must be; one that is not trusted is kept for an engineer."""
    try:
        sent = certificates(endpoint.ServerCertificate or b"")
    except ValueError as error:
        raise refused(f"the server shows no certificate that can be read: {shown(str(error))}") from error
    found = faults(sent, pki.trust(), host=host, application_uri=endpoint.Server.ApplicationUri or "", now=now)
    found = {check: fault for check, fault in found.items() if check not in options.ignore}
    if not found:
        return sent[0]
    text = f"the certificate of the server ({_named(sent[0])}) is refused: {'; '.join(found.values())}"
    if "trust" in found:
        text += f"; it is kept as {pki.reject(sent[0])}: if it is the right one, move it to {pki.trusted}, or run"
        text += f" gateway keys <configuration> --trust {thumbprint(sent[0])}"
    optional = [check for check in ("host_name", "validity") if check in found]
    if optional:
        text += f"; security.ignore: [{', '.join(optional)}] leaves that check out"
    raise refused(text)


def _secure(client: Client, server: x509.Certificate, own: Own | None, options: SecurityOptions) -> None:
    """Give the client its policy, our certificate and that of the server, which it will insist on."""
    policy, mode = POLICIES[options.policy], options.message_mode
    if own is None:
        # The session needs the certificate to protect the password; on the wire a channel without security names none.
        client.security_policy = policy(server, None, None, mode)  # type: ignore[assignment]  # declared too narrowly
        client.uaclient.set_security(policy(None, None, None, mode))
        return
    client.application_uri = own.application_uri
    client.security_policy = policy(server, own.certificate, own.key, mode)  # type: ignore[assignment]  # as above
    client.uaclient.set_security(client.security_policy)


def _named(certificate: x509.Certificate) -> str:
    return f"{subject(certificate)}, thumbprint {thumbprint(certificate)}"


def _trust_us(folder: Path) -> str:
    """What to do at the server."""
    path = Pki(folder / "pki").own_path
    try:
        (ours, *_) = read_certificates(path)
    except (OSError, ValueError):
        return "it may want a certificate of ours: set security.policy"
    since, until = ours.not_valid_before_utc.date(), ours.not_valid_after_utc.date()
    return f"trust {path} there (thumbprint {thumbprint(ours)}, valid from {since} to {until})"


# --- user ---------------------------------------------------------------------------------


def _user(url: str, options: SecurityOptions) -> _User:
    parts = urlsplit(url)
    if options.user_certificate:
        return _User(ua.UserTokenType.Certificate)
    if parts.username:
        return _User(ua.UserTokenType.UserName, unquote(parts.username), unquote(parts.password or ""))
    return _User(ua.UserTokenType.Anonymous)


def _identify(client: Client, user: _User, options: SecurityOptions) -> None:
    """Give the client the user's name and password, or certificate and key."""
    if user.kind is ua.UserTokenType.UserName:
        client.set_user(user.name)
        client.set_password(user.password)
    if options.user_certificate and options.user_key:
        client.user_certificate = read_certificates(options.user_certificate)[0]
        client.user_private_key = private_key(options.user_key, options.user_key.read_bytes())


def _user_refused(name: str, url: str, options: SecurityOptions) -> str:
    user = _user(url, options)
    if user.kind is ua.UserTokenType.Anonymous:
        return f"the server does not let anonymous users in ({name}): {WHO}"
    if user.kind is ua.UserTokenType.UserName:
        return f"the server refuses the user {user.name} ({name}): check user and password in connect"
    return f"the server refuses the user certificate {options.user_certificate} ({name}): trust it there"


# --- what asyncua does not do -------------------------------------------------------------


def _insist(client: Client, endpoints: Sequence[ua.EndpointDescription], token: ua.UserTokenPolicy) -> None:
    """Let the client use this token policy, and a session only if it names the same endpoints as discovery did.

    OPC 10000-4, 5.7.2: what discovery says is not signed, what the session says is. Without endpoints nothing is
    compared: without a policy neither is signed.
    """

    async def create_session() -> ua.CreateSessionResult:
        result = await Client.create_session(client)
        if endpoints and essence(result.ServerEndpoints) != essence(endpoints):
            await client._close_session_quiet()  # asyncua leaves it open at the server if this raises
            raise refused(
                "the session names other endpoints than discovery did, so somebody may be in between: look at the"
                " network between here and the server"
            )
        return result

    def server_policy(token_type: ua.UserTokenType) -> ua.UserTokenPolicy:
        return token

    client.create_session = create_session  # type: ignore[method-assign]  # the only place between the two requests
    client.server_policy = server_policy  # type: ignore[method-assign]  # asyncua would take the first one


@contextmanager
def _files() -> Iterator[None]:
    """What is wrong with our own files is wrong with the configuration."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise DeviceError(str(error), Quality.BAD_CONFIGURATION_ERROR) from error
