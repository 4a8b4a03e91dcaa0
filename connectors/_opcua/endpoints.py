"""What a server offers, and which of it is taken: endpoints and user token policies. Knows no files.

Exactly the policy and mode that are wanted, or none; a token policy that protects the password, or none.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from asyncua import Client, ua
from asyncua.crypto import security_policies

from connectors._opcua.validation import shown
from gateway.contracts import DeviceError
from gateway.model import Quality

POLICIES: Final[dict[str, type[security_policies.SecurityPolicy]]] = {
    "none": security_policies.SecurityPolicyNone,
    "basic256sha256": security_policies.SecurityPolicyBasic256Sha256,
    "aes128_sha256_rsaoaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "aes256_sha256_rsapss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}
MODES: Final = {"sign": ua.MessageSecurityMode.Sign, "sign_and_encrypt": ua.MessageSecurityMode.SignAndEncrypt}
WHO: Final = "write connect: opc.tcp://user:${PASSWORD}@..., or security.user_certificate, or neither"
_POLICY_NAMES: Final = {policy.URI: name for name, policy in POLICIES.items()}
_MODE_NAMES: Final = {mode: name for name, mode in MODES.items()}
_PROTECTING: Final = {policy.URI for name, policy in POLICIES.items() if name != "none"}
"""Token policies that keep a password secret on any channel; the older ones use SHA-1 or PKCS #1 v1.5."""
_TOKENS: Final = {
    ua.UserTokenType.Anonymous: "anonymous users",
    ua.UserTokenType.UserName: "user and password",
    ua.UserTokenType.Certificate: "user certificates",
    ua.UserTokenType.IssuedToken: "issued tokens",
}


def new_client(url: str, timeout_s: float) -> Client:
    """Return a client that says who we are."""
    client = Client(url, timeout=timeout_s)
    client.name = client.description = "itot-gateway"
    client.application_uri = "urn:itot-gateway:client"
    return client


async def discover(client: Client, url: str) -> Sequence[ua.EndpointDescription]:
    """Ask for the endpoints, over a connection of its own, so that a session that may be resumed is not disturbed."""
    asking = Client(url, timeout=client.uaclient._timeout)
    try:
        return await asking.connect_and_get_server_endpoints()
    except AssertionError as error:  # asyncua's, when the answer to OpenSecureChannel is a fault
        raise ConnectionError("the server refuses a channel for discovery") from error


def choose(
    endpoints: Sequence[ua.EndpointDescription], policy: str, mode: ua.MessageSecurityMode
) -> ua.EndpointDescription:
    """Return the endpoint with exactly this policy and mode. Raises DeviceError listing those that there are."""
    fitting = [
        endpoint
        for endpoint in endpoints
        if (endpoint.EndpointUrl or "").startswith("opc.tcp:")
        and (endpoint.SecurityPolicyUri, endpoint.SecurityMode) == (POLICIES[policy].URI, mode)
    ]
    if fitting:
        return max(fitting, key=lambda endpoint: int(endpoint.SecurityLevel))
    offered = ", ".join(sorted({offer(endpoint) for endpoint in endpoints})) or "nothing"
    wanted = f"{policy} {_MODE_NAMES.get(mode, '')}".rstrip()
    raise DeviceError(
        f"the server does not offer {wanted}; it offers {offered}: set security.policy and security.mode to what it"
        " offers, or enable the other there",
        Quality.BAD_CONFIGURATION_ERROR,
    )


def offer(endpoint: ua.EndpointDescription) -> str:
    """Return policy and mode of an endpoint as the configuration names them."""
    uri = endpoint.SecurityPolicyUri or ""
    policy = _POLICY_NAMES.get(uri, f"{shown(uri.rpartition('#')[2])} (not supported)")
    return f"{policy} {_MODE_NAMES.get(endpoint.SecurityMode, '')}".rstrip()


def user_token(endpoint: ua.EndpointDescription, kind: ua.UserTokenType) -> ua.UserTokenPolicy:
    """Return the user token policy to use: it keeps a password secret, and lets the key of a certificate be proved.

    Raises DeviceError if there is none.
    """
    tokens = endpoint.UserIdentityTokens or []
    offered: list[ua.UserTokenPolicy] = [
        replace(token, SecurityPolicyUri=token.SecurityPolicyUri or endpoint.SecurityPolicyUri)
        for token in tokens
        if token.TokenType == kind
    ]
    if not offered:
        others = ", ".join(sorted({_TOKENS[token.TokenType] for token in tokens})) or "nobody"
        text = f"the server does not take {_TOKENS[kind]} on this endpoint; it takes {others}: {WHO}"
        raise DeviceError(text, Quality.BAD_USER_ACCESS_DENIED)
    protecting = [token for token in offered if token.SecurityPolicyUri in _PROTECTING]
    if protecting:
        return protecting[0]
    encrypted = endpoint.SecurityMode == ua.MessageSecurityMode.SignAndEncrypt
    if kind is ua.UserTokenType.Anonymous or (encrypted and kind is ua.UserTokenType.UserName):
        return offered[0]
    raise refused(
        f"{_TOKENS[kind]} would go unprotected, so nothing was sent: the server offers no encryption for it on this"
        " endpoint; set security.policy, with mode: sign_and_encrypt"
    )


def essence(endpoints: Sequence[ua.EndpointDescription]) -> set[tuple[object, ...]]:
    """Return what must be the same in discovery and session (OPC 10000-4, 5.7.2).

    The standard wants the URL compared as well; servers write it as they like, and we never follow it.
    """
    return {
        (
            endpoint.Server.ApplicationUri,
            endpoint.SecurityMode,
            endpoint.SecurityPolicyUri,
            endpoint.TransportProfileUri,
            endpoint.SecurityLevel,
            *sorted((t.PolicyId, t.TokenType, t.SecurityPolicyUri or "") for t in endpoint.UserIdentityTokens or ()),
        )
        for endpoint in endpoints
    }


def refused(text: str) -> DeviceError:
    """Return the error of a server with which nothing secret is shared."""
    return DeviceError(text, Quality.BAD_SECURITY_CHECKS_FAILED)
