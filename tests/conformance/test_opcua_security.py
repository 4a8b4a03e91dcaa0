"""Security against a real server with certificates: what is let in, what is not, and what one is told."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, Server, ua
from asyncua.common.utils import ServiceError
from asyncua.crypto import security_policies
from asyncua.crypto.permission_rules import User, UserRole
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from connectors._opcua.pki import Pki, files
from connectors._opcua.security import SecurityOptions, check, explained, prepare
from gateway.clock import SystemClock
from gateway.contracts import DeviceError
from gateway.model import Quality
from tests.certificates import DAY, NOW, URI, Made, made, made_ca, rsa_key
from tests.servers import black_hole, free_port

EVERY = [kind for kind in ua.SecurityPolicyType if "Basic128" not in kind.name and "Basic256_" not in kind.name]
BASIC = [ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt]
NO_SECURITY = [ua.SecurityPolicyType.NoSecurity]
ANONYMOUS, PASSWORD, CERTIFICATE = ua.AnonymousIdentityToken, ua.UserNameIdentityToken, ua.X509IdentityToken
SECRET = "Grüße, 100 % p@ss:word"
QUOTED = "Gr%C3%BC%C3%9Fe,%20100%20%25%20p%40ss%3Aword"


_SERVERS: list[Server] = []


async def empty_server() -> Server:
    """A server as it is before anything is configured. Making one takes 2 s of CPU, so there is one for all tests."""
    if not _SERVERS:
        _SERVERS.append(Server())
        await _SERVERS[0].init()
    (server,) = _SERVERS
    server.iserver.endpoints.clear()
    server._policies.clear()
    return server


class Rig:
    """A server, and the data directory of a gateway. `asked` is what users have shown to be let in."""

    def __init__(self, folder: Path, server: Made) -> None:
        self.folder = folder
        self.certificate = server
        self.port = free_port()
        self.asked: list[tuple[str | None, str | None, bytes | None]] = []
        self.users: dict[str, str] = {"operator": SECRET}
        self.user_certificates: list[bytes] = []
        self.clients: list[x509.Certificate] = []
        self.trusts_us = True
        self.timeout_s = 4.0
        self.server: Any = None

    def url(self, user: str = "") -> str:
        return f"opc.tcp://{user}{'@' if user else ''}127.0.0.1:{self.port}"

    def get_user(
        self, iserver: Any, username: str | None = None, password: str | None = None, certificate: bytes | None = None
    ) -> User | None:
        """Let in whom the test says (asyncua.server.user_managers.UserManager)."""
        self.asked.append((username, password, certificate))
        known = username is None or self.users.get(username) == password
        known &= not self.user_certificates or certificate in self.user_certificates
        return User(role=UserRole.User) if known else None

    async def validate(self, certificate: x509.Certificate, _: ua.ApplicationDescription) -> None:
        self.clients.append(certificate)
        if not self.trusts_us:
            raise ServiceError(ua.StatusCodes.BadCertificateUntrusted)

    async def start(self, policies: Sequence[ua.SecurityPolicyType], tokens: Sequence[type]) -> None:
        server = await empty_server()
        server.iserver.set_user_manager(self)  # type: ignore[arg-type]  # it need not be of their class
        server.set_endpoint(self.url())
        await server.set_application_uri(URI)
        server.set_security_policy(list(policies))
        server.set_identity_tokens(list(tokens))
        server.set_certificate_validator(self.validate)
        await server.load_certificate(self.certificate.der)
        key = self.certificate.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        await server.load_private_key(key)
        await server.start()
        self.server = server

    @property
    def endpoints(self) -> list[ua.EndpointDescription]:
        """What the server says that it offers; a test may change it."""
        found: list[ua.EndpointDescription] = self.server.iserver.endpoints
        return found

    def trust_server(self) -> None:
        self.certificate.write(self.folder / "pki" / "trusted" / "certs")

    async def connect(self, user: str = "", **keys: Any) -> Client:
        """Open a session as the connector does; return the client."""
        client, enter = await self.prepared(user, **keys)
        await enter()
        return client

    async def prepared(self, user: str = "", **keys: Any) -> tuple[Client, Any]:
        """A client that is ready, and how to go on from there."""
        url, options = self.url(user), SecurityOptions(**keys)
        client = Client(url, timeout=self.timeout_s)
        await prepare(client, url, options, self.folder, SystemClock())

        async def enter() -> None:
            async with explained(client, url, options, self.folder):
                await client.connect()

        return client, enter

    async def reads(self, user: str = "", **keys: Any) -> bool:
        """Whether a session can be opened and something read in it."""
        client = await self.connect(user, **keys)
        try:
            return bool(await client.nodes.server_state.read_value() == ua.ServerState.Running)
        finally:
            await client.disconnect()

    async def refused(self, user: str = "", **keys: Any) -> DeviceError:
        with pytest.raises(DeviceError) as caught:
            await self.connect(user, **keys)
        assert SECRET not in str(caught.value)
        return caught.value


@asynccontextmanager
async def secured(
    folder: Path,
    policies: Sequence[ua.SecurityPolicyType] = BASIC,
    tokens: Sequence[type] = (ANONYMOUS,),
    certificate: Made | None = None,
    *,
    trusted: bool = True,
) -> AsyncIterator[Rig]:
    rig = Rig(folder, certificate or made())
    if trusted:
        rig.trust_server()
    await rig.start(policies, tokens)
    try:
        yield rig
    finally:
        await rig.server.stop()


# --- policies and modes -------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["sign", "sign_and_encrypt"])
@pytest.mark.parametrize("policy", ["basic256sha256", "aes128_sha256_rsaoaep", "aes256_sha256_rsapss"])
async def test_exactly_the_policy_and_mode_that_are_configured_are_used(tmp_path: Path, policy: str, mode: str) -> None:
    async with secured(tmp_path, EVERY) as rig:
        client = await rig.connect(policy=policy, mode=mode)
        channel = client.uaclient.protocol._connection.security_policy  # type: ignore[union-attr]  # it is connected
        assert channel.URI.rpartition("#")[2].lower().replace("_", "") == policy.replace("_", "")
        assert channel.Mode.name.lower() == mode.replace("_", "")
        assert await client.nodes.server_state.read_value() == ua.ServerState.Running
        await client.disconnect()
        assert rig.clients == [Pki(tmp_path / "pki").own(NOW).certificate]


async def test_without_security_everything_is_as_it_was_and_no_file_is_made(tmp_path: Path) -> None:
    async with secured(tmp_path, EVERY, trusted=False) as rig:
        client = await rig.connect()
        assert isinstance(client.security_policy, security_policies.SecurityPolicyNone)
        await client.disconnect()
    assert files(tmp_path / "pki" / "rejected" / "certs") == []
    assert not Pki(tmp_path / "pki").own_path.exists()


async def test_a_policy_that_is_not_offered_is_refused_with_what_is_and_never_replaced(tmp_path: Path) -> None:
    kinds = [*BASIC, ua.SecurityPolicyType.Aes256Sha256RsaPss_Sign, *NO_SECURITY]
    async with secured(tmp_path, kinds) as rig:
        for keys in ({"policy": "aes256_sha256_rsapss"}, {"policy": "basic256sha256", "mode": "sign"}):
            error = await rig.refused(**keys)
            assert error.quality == Quality.BAD_CONFIGURATION_ERROR
            assert "it offers aes256_sha256_rsapss sign, basic256sha256 sign_and_encrypt, none:" in str(error)
        assert rig.asked == []


async def test_a_server_that_wants_security_says_what_it_offers_to_one_without(tmp_path: Path) -> None:
    async with secured(tmp_path, BASIC) as rig:
        error = await rig.refused()
    assert "does not offer none; it offers basic256sha256 sign_and_encrypt" in str(error)


def test_a_mode_without_a_policy_is_an_error_and_not_a_session_without_security() -> None:
    with pytest.raises(ValueError, match="add policy"):
        SecurityOptions(mode="sign_and_encrypt")
    with pytest.raises(ValueError, match="belong together"):
        SecurityOptions(user_certificate=Path("user.der"))
    both = SecurityOptions(user_certificate=Path("user.der"), user_key=Path("user.pem"))
    with pytest.raises(ValueError, match="two users"):
        check("opc.tcp://operator:secret@10.0.0.9", both)


# --- the server's certificate -------------------------------------------------------------


async def test_an_unknown_server_is_refused_until_an_engineer_trusts_it(tmp_path: Path) -> None:
    async with secured(tmp_path, trusted=False) as rig:
        error = await rig.refused(policy="basic256sha256")
        (kept,) = files(tmp_path / "pki" / "rejected" / "certs")
        thumbprint = rig.certificate.certificate.fingerprint(hashes.SHA1()).hex().upper()
        assert error.quality == Quality.BAD_SECURITY_CHECKS_FAILED
        for part in ("CN=server", thumbprint, str(kept), str(tmp_path / "pki/trusted/certs"), f"--trust {thumbprint}"):
            assert part in str(error)
        assert rig.clients == []  # we told it nothing
        kept.rename(tmp_path / "pki" / "trusted" / "certs" / kept.name)
        assert await rig.reads(policy="basic256sha256")


async def test_a_server_is_trusted_by_its_ca(tmp_path: Path) -> None:
    ca = made_ca()
    async with secured(tmp_path, certificate=made(issuer=ca), trusted=False) as rig:
        assert "its issuer CN=CA is not known" in str(await rig.refused(policy="basic256sha256"))
        ca.write(tmp_path / "pki" / "trusted" / "certs", "ca.der")
        assert await rig.reads(policy="basic256sha256")


async def test_a_trusted_server_with_a_fault_is_refused_and_two_faults_can_be_ignored(tmp_path: Path) -> None:
    odd = made(ip=("10.1.1.1",), until=NOW - DAY, since=NOW - 2 * DAY)
    async with secured(tmp_path, certificate=odd) as rig:
        error = await rig.refused(policy="basic256sha256")
        assert "not for 127.0.0.1" in str(error)
        assert "security.ignore: [host_name, validity] leaves that check out" in str(error)
        assert "rejected" not in str(error)
        assert "is valid from" in str(await rig.refused(policy="basic256sha256", ignore=["host_name"]))
        assert await rig.reads(policy="basic256sha256", ignore=["host_name", "validity"])


async def test_who_shows_the_certificate_of_another_cannot_open_a_channel(tmp_path: Path) -> None:
    """The trusted certificate, and a key that is not its own."""
    stolen = Made(made().certificate, rsa_key(5))
    async with secured(tmp_path, certificate=stolen) as rig:
        rig.timeout_s = 1.0  # the server cannot read our request, and is silent
        with pytest.raises(TimeoutError):
            await rig.connect(policy="basic256sha256")
        assert rig.asked == []


async def test_endpoints_that_differ_between_discovery_and_session_end_the_session(tmp_path: Path) -> None:
    """Somebody in between took the strongest one out of the answer to discovery, which is not signed."""
    async with secured(tmp_path, EVERY, (ANONYMOUS, PASSWORD)) as rig:
        strongest = max(rig.endpoints, key=lambda endpoint: int(endpoint.SecurityLevel))
        rig.endpoints.remove(strongest)
        _, enter = await rig.prepared(f"operator:{QUOTED}", policy="basic256sha256")
        rig.endpoints.append(strongest)
        with pytest.raises(DeviceError, match="other endpoints than discovery") as caught:
            await enter()
        assert caught.value.quality == Quality.BAD_SECURITY_CHECKS_FAILED
        assert rig.asked == []
        assert len(rig.server.iserver._external_sessions) == 0


async def test_damaged_files_of_ours_are_told_as_such(tmp_path: Path) -> None:
    async with secured(tmp_path) as rig:
        bad = tmp_path / "pki" / "trusted" / "certs" / "bad.der"
        bad.write_bytes(b"rubbish")
        error = await rig.refused(policy="basic256sha256")
    assert error.quality == Quality.BAD_CONFIGURATION_ERROR
    assert str(bad) in str(error)


# --- our certificate ----------------------------------------------------------------------


async def test_a_server_that_does_not_trust_us_says_which_file_to_trust_there(tmp_path: Path) -> None:
    async with secured(tmp_path) as rig:
        rig.trusts_us = False
        error = await rig.refused(policy="basic256sha256")
        assert error.quality == Quality.BAD_SECURITY_CHECKS_FAILED
        assert f"trust {Pki(tmp_path / 'pki').own_path} there" in str(error)
        assert "BadCertificateUntrusted" in str(error)
        rig.trusts_us = True
        assert await rig.reads(policy="basic256sha256")


async def test_devices_that_start_together_share_one_certificate(tmp_path: Path) -> None:
    async with secured(tmp_path) as rig, asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(rig.reads(policy="basic256sha256")) for _ in range(4)]
    assert all(task.result() for task in asked)
    assert len(set(rig.clients)) == 1


async def test_our_application_uri_is_that_of_our_certificate(tmp_path: Path) -> None:
    """A certificate of the plant's CA in place of ours."""
    async with secured(tmp_path) as rig:
        pki = Pki(tmp_path / "pki")
        pki.own(NOW)
        ours = made("gateway", issuer=made_ca(), uri="urn:plant:gateway", key=rsa_key(2))
        ours.write(pki.own_path.parent, pki.own_path.name)
        ours.write_key(pki.key_path)
        client = await rig.connect(policy="basic256sha256")
        assert client.application_uri == "urn:plant:gateway"
        await client.disconnect()
    assert rig.clients == [ours.certificate]


# --- users --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "mode"), [("none", None), ("basic256sha256", "sign"), ("aes256_sha256_rsapss", "sign_and_encrypt")]
)
async def test_user_and_password_are_let_in_and_a_wrong_password_is_not(
    tmp_path: Path, policy: str, mode: str | None
) -> None:
    keys = {"policy": policy} | ({"mode": mode} if mode else {})
    async with secured(tmp_path, EVERY, (PASSWORD,)) as rig:
        assert await rig.reads(f"operator:{QUOTED}", **keys)
        assert rig.asked[-1][:2] == ("operator", SECRET)
        error = await rig.refused("operator:wr0ng", **keys)
    assert error.quality == Quality.BAD_USER_ACCESS_DENIED
    assert "refuses the user operator (BadUserAccessDenied): check user and password" in str(error)
    assert "wr0ng" not in str(error)


async def test_a_password_is_never_sent_where_others_can_read_it(tmp_path: Path) -> None:
    async with secured(tmp_path, NO_SECURITY, (PASSWORD, ANONYMOUS)) as rig:
        error = await rig.refused(f"operator:{QUOTED}")
        assert rig.asked == []
    assert error.quality == Quality.BAD_SECURITY_CHECKS_FAILED
    assert "nothing was sent" in str(error)


async def test_a_password_is_encrypted_only_for_a_server_that_is_trusted(tmp_path: Path) -> None:
    """The channel has no security, the token policy has: whose key it is must be known all the same."""
    async with secured(tmp_path, [*NO_SECURITY, *BASIC], (PASSWORD,), trusted=False) as rig:
        assert "it is not trusted" in str(await rig.refused(f"operator:{QUOTED}"))
        assert rig.asked == []


async def test_a_session_cannot_talk_us_out_of_encrypting_the_password(tmp_path: Path) -> None:
    async with secured(tmp_path, [*NO_SECURITY, *BASIC], (PASSWORD,)) as rig:
        client, enter = await rig.prepared(f"operator:{QUOTED}")
        for endpoint in rig.endpoints:
            for token in endpoint.UserIdentityTokens:
                token.SecurityPolicyUri = security_policies.SecurityPolicyNone.URI
        sent: list[ua.ActivateSessionParameters] = []
        activate = client.uaclient.activate_session

        async def seen(parameters: ua.ActivateSessionParameters) -> ua.ActivateSessionResult:
            sent.append(parameters)
            return await activate(parameters)

        client.uaclient.activate_session = seen  # type: ignore[method-assign]  # looked at on its way
        await enter()
        await client.disconnect()
    (parameters,) = sent
    assert SECRET.encode() not in parameters.UserIdentityToken.Password
    assert parameters.UserIdentityToken.EncryptionAlgorithm == "http://www.w3.org/2001/04/xmlenc#rsa-oaep"


async def test_another_certificate_in_the_session_gets_no_password(tmp_path: Path) -> None:
    """Without security on the channel the certificate of the session is compared with the one that was judged."""
    async with secured(tmp_path, [*NO_SECURITY, *BASIC], (PASSWORD,)) as rig:
        _, enter = await rig.prepared(f"operator:{QUOTED}")
        for factory in rig.server._policies:
            factory.certificate = made("another", key=rsa_key(4)).certificate
        with pytest.raises(DeviceError, match="another certificate than discovery"):
            await enter()
        assert rig.asked == []


@pytest.mark.parametrize("policy", ["none", "basic256sha256"])
async def test_a_user_may_come_with_a_certificate(tmp_path: Path, policy: str) -> None:
    user = made("operator", key=rsa_key(3), uri=None, dns=(), ip=(), purposes=())
    keys: dict[str, Any] = {
        "policy": policy,
        "user_certificate": user.write(tmp_path, "user.der"),
        "user_key": user.write_key(tmp_path / "user.pem"),
    }
    async with secured(tmp_path, [*NO_SECURITY, *BASIC], (CERTIFICATE,)) as rig:
        assert await rig.reads(**keys)
        assert rig.asked[-1] == (None, None, user.der)
        rig.user_certificates = [made("somebody else").der]
        error = await rig.refused(**keys)
    assert error.quality == Quality.BAD_USER_ACCESS_DENIED
    assert "refuses the user certificate" in str(error)
    assert "user.der" in str(error)


async def test_a_key_of_the_user_that_is_not_there_is_named(tmp_path: Path) -> None:
    user = made("operator").write(tmp_path, "user.der")
    async with secured(tmp_path, BASIC, (CERTIFICATE,)) as rig:
        keys: dict[str, Any] = {
            "policy": "basic256sha256",
            "user_certificate": user,
            "user_key": tmp_path / "nowhere.pem",
        }
        error = await rig.refused(**keys)
    assert error.quality == Quality.BAD_CONFIGURATION_ERROR
    assert "nowhere.pem" in str(error)


@pytest.mark.parametrize("policy", ["none", "basic256sha256"])
async def test_a_server_that_lets_no_anonymous_user_in_says_whom_it_does(tmp_path: Path, policy: str) -> None:
    async with secured(tmp_path, EVERY, (PASSWORD,)) as rig:
        error = await rig.refused(policy=policy)
    assert error.quality == Quality.BAD_USER_ACCESS_DENIED
    assert "connect: opc.tcp://user:${PASSWORD}@" in str(error)


async def test_a_kind_of_user_that_the_server_does_not_take_is_told(tmp_path: Path) -> None:
    async with secured(tmp_path) as rig:
        error = await rig.refused(f"operator:{QUOTED}", policy="basic256sha256")
    assert "does not take user and password on this endpoint; it takes anonymous users" in str(error)


@pytest.mark.parametrize("policy", ["none", "basic256sha256"])
async def test_a_client_can_be_used_again_when_its_connection_is_lost(tmp_path: Path, policy: str) -> None:
    """As the connector does, which tries to go on with the session that it had."""
    async with secured(tmp_path, [*NO_SECURITY, *BASIC], (PASSWORD,)) as rig:
        url, options = rig.url(f"operator:{QUOTED}"), SecurityOptions.model_validate({"policy": policy})
        client = Client(url)
        for _ in range(3):
            await client._teardown_transport_only()
            await prepare(client, url, options, rig.folder, SystemClock())
            async with explained(client, url, options, rig.folder):
                await client._try_reactivate_existing_session()
            assert await client.nodes.server_state.read_value() == ua.ServerState.Running
        await client.disconnect()
    assert [password for _, password, _ in rig.asked] == [SECRET] * 3


# --- no server ----------------------------------------------------------------------------


async def test_nobody_at_the_address_is_not_a_matter_of_security(tmp_path: Path) -> None:
    rig = Rig(tmp_path, made())
    with pytest.raises(ConnectionRefusedError):
        await rig.connect(policy="basic256sha256")
    async with black_hole(rig.port):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await rig.connect(policy="basic256sha256")
