"""Our certificate, whom we trust, and what is wrong with the certificate of a server: one fault at a time."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors._opcua.pki import Pki, certificates, read_certificates
from connectors._opcua.validation import Trust, faults, shown, thumbprint
from tests.certificates import (
    DAY,
    NOW,
    SIGN_AND_ENCRYPT,
    URI,
    Made,
    elliptic_key,
    made,
    made_ca,
    revocation,
    rsa_key,
)

ROOT = made_ca("root")
MIDDLE = made_ca("middle", 2, issuer=ROOT)
SERVER = made(issuer=MIDDLE)

# --- our own certificate ------------------------------------------------------------------


def test_our_certificate_is_as_the_standard_wants_it(tmp_path: Path) -> None:
    """OPC 10000-6, 6.2.2."""
    own = Pki(tmp_path).own(NOW)
    certificate = x509.load_der_x509_certificate((tmp_path / "own/certs/itot-gateway.der").read_bytes())
    assert certificate == own.certificate
    certificate.verify_directly_issued_by(certificate)
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    assert key.key_size == 2048
    assert certificate.signature_hash_algorithm is not None
    assert certificate.signature_hash_algorithm.name == "sha256"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [own.application_uri]
    assert own.application_uri.startswith("urn:")
    assert len(names.get_values_for_type(x509.DNSName)) == 1
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert [getattr(usage, one) for one in (*SIGN_AND_ENCRYPT, "key_cert_sign", "crl_sign")] == [True] * 5 + [False]
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)
    assert certificate.not_valid_before_utc < NOW < NOW + 3650 * DAY < certificate.not_valid_after_utc


def test_nobody_else_may_read_our_key(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    own = pki.own(NOW)
    assert pki.key_path.stat().st_mode & 0o777 == 0o600
    assert pki.key_path.parent.stat().st_mode & 0o777 == 0o700
    assert pki.own_path.stat().st_mode & 0o777 == 0o644
    stored = load_pem_private_key(pki.key_path.read_bytes(), password=None)
    assert isinstance(stored, rsa.RSAPrivateKey)
    assert stored.private_numbers() == own.key.private_numbers()


def test_our_certificate_is_made_once_and_whoever_is_first_wins(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        all_at_once = list(threads.map(lambda _: Pki(tmp_path).own(NOW).certificate, range(8)))
    assert len(set(all_at_once)) == 1
    assert Pki(tmp_path).own(NOW + 400 * DAY).certificate == all_at_once[0]
    left = sorted(path.name for path in (tmp_path / "own").rglob("*") if path.is_file())
    assert left == ["itot-gateway.der", "itot-gateway.pem"]


def test_a_process_that_ended_between_key_and_certificate_does_no_harm(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    before = pki.own(NOW)
    pki.own_path.unlink()
    assert pki.own(NOW).certificate.public_key() == before.certificate.public_key()


def test_a_certificate_of_the_plants_own_ca_may_take_the_place_of_ours(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    pki.own(NOW)
    theirs = made("gateway", issuer=made_ca(), uri="urn:plant:gateway", key=rsa_key(2))
    theirs.write(pki.own_path.parent, pki.own_path.name)
    with pytest.raises(ValueError, match="is not the key of"):
        pki.own(NOW)
    theirs.write_key(pki.key_path)
    assert pki.own(NOW).application_uri == "urn:plant:gateway"


@pytest.mark.parametrize(
    "content", [b"", b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n", b"\x30\x03"]
)
def test_a_damaged_key_is_named_and_never_shown(tmp_path: Path, content: bytes) -> None:
    pki = Pki(tmp_path)
    pki.own(NOW)
    pki.key_path.write_bytes(content)
    with pytest.raises(ValueError, match="not a private key") as caught:
        pki.own(NOW)
    assert str(pki.key_path) in str(caught.value)
    assert "c2VjcmV0" not in str(caught.value)


# --- rejected and trusted -----------------------------------------------------------------


def test_a_rejected_certificate_is_trusted_once_it_is_moved(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    server = made()
    path = pki.reject(server.certificate)
    assert path == tmp_path / "rejected" / "certs" / f"server-{thumbprint(server.certificate)}.der"
    assert pki.trust() == Trust([], [], [])
    path.rename(tmp_path / "trusted" / "certs" / "any name.der")
    assert pki.trust().trusted == [server.certificate]


@pytest.mark.parametrize("how", ["thumbprint", "small, with colons", "path", "name"])
def test_an_engineer_trusts_by_thumbprint_or_file(tmp_path: Path, how: str) -> None:
    pki = Pki(tmp_path)
    server, other = made(), made("other", key=rsa_key(2))
    pki.reject(other.certificate)
    path = pki.reject(server.certificate)
    digits = server.certificate.fingerprint(hashes.SHA1()).hex()
    wanted = {
        "thumbprint": digits.upper(),
        "small, with colons": ":".join(digits[i : i + 2] for i in range(0, len(digits), 2)),
        "path": str(path),
        "name": path.name,
    }[how]
    assert pki.accept(wanted) == tmp_path / "trusted" / "certs" / path.name
    assert pki.trust().trusted == [server.certificate]
    assert read_certificates(*(tmp_path / "rejected" / "certs").iterdir()) == [other.certificate]
    with pytest.raises(LookupError, match="is not in"):
        pki.accept(wanted)


def test_rejected_certificates_do_not_fill_the_disk_and_the_newest_stay(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    paths = [pki.reject(made(f"stranger {i}").certificate) for i in range(103)]
    assert len(list(pki.rejected.iterdir())) == 100
    assert paths[-1].exists()


def test_a_server_that_tries_again_and_again_is_written_down_once(tmp_path: Path) -> None:
    server = made().certificate
    first = Pki(tmp_path).reject(server).stat()
    assert Pki(tmp_path).reject(server).stat() == first


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "\\\\host\\share", "..", "x\0y\n", "ü" * 32, "con:"])
def test_a_stranger_cannot_choose_where_his_certificate_is_written(tmp_path: Path, name: str) -> None:
    path = Pki(tmp_path).reject(made(name).certificate)
    assert path.parent == tmp_path / "rejected" / "certs"
    assert path.name.isascii()
    assert read_certificates(path)


def test_pem_and_bundles_are_read_and_other_files_are_left_alone(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    pki.own(NOW)
    one, two = made("one"), made("two")
    pem = b"".join(x.certificate.public_bytes(Encoding.PEM) for x in (one, two))
    (pki.trusted / "bundle.PEM").write_bytes(pem)
    (pki.trusted / "README.txt").write_text("put certificates here")
    assert pki.trust().trusted == [one.certificate, two.certificate]


@pytest.mark.parametrize(
    "place", ["trusted/certs/x.der", "issuer/certs/x.pem", "trusted/crl/x.crl", "issuer/crl/x.pem"]
)
def test_a_damaged_file_is_named_and_not_passed_over(tmp_path: Path, place: str) -> None:
    """Above all a revocation list: without it somebody revoked would be trusted."""
    pki = Pki(tmp_path)
    pki.own(NOW)
    (tmp_path / place).write_bytes(b"-----BEGIN rubbish")
    with pytest.raises(ValueError, match=place.rpartition("/")[2]):
        pki.trust()


def test_revocation_lists_are_read_from_both_folders(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    pki.own(NOW)
    ca = made_ca()
    lists = [revocation(ca), revocation(ca, made(issuer=ca))]
    (tmp_path / "trusted/crl/a.crl").write_bytes(lists[0].public_bytes(Encoding.DER))
    (tmp_path / "issuer/crl/b.pem").write_bytes(lists[1].public_bytes(Encoding.PEM))
    assert pki.trust().revocations == lists


# --- what a server sends ------------------------------------------------------------------


def test_a_chain_is_cut_into_its_certificates() -> None:
    ca = made_ca()
    server = made(issuer=ca)
    assert certificates(server.der + ca.der) == [server.certificate, ca.certificate]


@pytest.mark.parametrize(
    "content", [b"", b"\x30", b"\x30\x80", b"\x30\xff", made().der[:-1], made().der + b"\0", made().der * 11]
)
def test_what_is_no_certificate_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="certificate"):
        certificates(content)


@pytest.mark.filterwarnings("ignore:Parsed a serial number:cryptography.utils.CryptographyDeprecationWarning")
@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_damaged_certificate_is_refused_or_judged_and_nothing_else_happens(data: st.DataObject) -> None:
    content = bytearray(SERVER.der)
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        sent = certificates(bytes(content))
    except ValueError:
        return
    judge(sent, trusted=[MIDDLE])


def test_a_strangers_text_has_no_control_characters_and_an_end() -> None:
    assert shown("a\r\n\x1b[31mred" + "x" * 500) == "a???[31mred" + "x" * 109


# --- checks -------------------------------------------------------------------------------


def judge(
    sent: Sequence[x509.Certificate],
    trusted: Sequence[Made] = (),
    issuers: Sequence[Made] = (),
    revocations: Sequence[x509.CertificateRevocationList] = (),
    host: str = "127.0.0.1",
) -> dict[str, str]:
    trust = Trust([one.certificate for one in trusted], [one.certificate for one in issuers], revocations)
    return faults(sent, trust, host=host, application_uri=URI, now=NOW)


def test_a_self_signed_certificate_that_is_trusted_is_well() -> None:
    """Whether it says that it is a CA or not; both are in use."""
    for server in (made(), made(ca=True, path_length=0, usage=(*SIGN_AND_ENCRYPT, "key_cert_sign"))):
        assert judge([server.certificate], [server]) == {}
        assert judge([server.certificate]) == {"trust": "it is not trusted"}


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "filler.plant", "filler.plant.", "127.0.0.1"])
def test_a_server_may_be_addressed_by_each_of_its_names(host: str) -> None:
    server = made()
    assert judge([server.certificate], [server], host=host) == {}


@pytest.mark.parametrize(
    ("check", "text", "different"),
    [
        ("signature", "its signature is wrong", {"signed_by": rsa_key(2)}),
        ("key", "its key is not RSA with 2048 to 4096 bits", {"key": rsa_key(bits=1024)}),
        ("key", "its key is not RSA with 2048 to 4096 bits", {"key": elliptic_key()}),
        ("key", "it is signed with sha224, not with SHA-256 or better", {"hashed": hashes.SHA224()}),
        ("validity", "it is valid from", {"until": NOW - DAY, "since": NOW - 2 * DAY}),
        ("validity", "it is valid from", {"since": NOW + DAY}),
        ("host_name", "it is made for localhost, not for 127.0.0.1", {"ip": (), "dns": ("localhost",)}),
        ("host_name", "it is made for no host, not for 127.0.0.1", {"ip": (), "dns": ()}),
        ("application_uri", "it is made for the application urn:other, not for urn:test:server", {"uri": "urn:other"}),
        ("application_uri", "it is made for the application nobody", {"uri": None}),
        ("usage", "its key may not be used to sign and to encrypt", {"usage": ("digital_signature",)}),
        ("usage", "it is not that of a server", {"purposes": (ExtendedKeyUsageOID.CLIENT_AUTH,)}),
    ],
)
def test_a_trusted_certificate_with_a_fault_is_refused_for_it(check: str, text: str, different: dict[str, Any]) -> None:
    server = made(**different)
    found = judge([server.certificate], [server])
    assert list(found) == [check]
    assert found[check].startswith(text)


@pytest.mark.parametrize("different", [{"usage": None}, {"purposes": ()}, {"hashed": hashes.SHA512()}])
def test_what_a_certificate_does_not_speak_of_is_allowed(different: dict[str, Any]) -> None:
    server = made(**different)
    assert judge([server.certificate], [server]) == {}


def test_all_faults_are_told_at_once_in_the_order_of_the_standard() -> None:
    server = made(uri="urn:other", ip=(), until=NOW - DAY, since=NOW - 2 * DAY)
    assert list(judge([server.certificate])) == ["trust", "validity", "host_name", "application_uri"]


@pytest.mark.parametrize(
    ("sent", "trusted", "issuers"),
    [
        ([SERVER], [SERVER], []),
        ([SERVER], [MIDDLE], []),
        ([SERVER], [ROOT], [MIDDLE]),
        ([SERVER, MIDDLE], [ROOT], []),
        ([SERVER, MIDDLE, ROOT], [ROOT], []),
        ([SERVER, ROOT, MIDDLE], [ROOT], []),
    ],
)
def test_a_chain_to_one_that_is_trusted_is_well(sent: list[Made], trusted: list[Made], issuers: list[Made]) -> None:
    assert judge([one.certificate for one in sent], trusted, issuers) == {}


@pytest.mark.parametrize(
    ("sent", "trusted", "issuers", "text"),
    [
        ([SERVER, MIDDLE, ROOT], [], [], "neither it nor its issuer CN=root is trusted"),
        ([SERVER], [], [ROOT, MIDDLE], "neither it nor its issuer CN=root is trusted"),
        ([SERVER], [ROOT], [], "it is not trusted, and its issuer CN=middle is not known"),
        ([SERVER, made_ca("middle", 3, issuer=ROOT)], [ROOT], [], "it is not trusted, and its issuer CN=middle is not"),
        ([SERVER, MIDDLE], [made_ca("root", 3)], [], "it is not trusted, and its issuer CN=root is not known"),
    ],
)
def test_a_certificate_that_only_completes_a_chain_is_not_trusted(
    sent: list[Made], trusted: list[Made], issuers: list[Made], text: str
) -> None:
    found = judge([one.certificate for one in sent], trusted, issuers)
    assert list(found) == ["trust"]
    assert found["trust"].startswith(text)


def no_ca(**different: Any) -> Made:
    return made_ca("middle", 2, issuer=ROOT, **different)


@pytest.mark.parametrize(
    "middle",
    [no_ca(ca=False), no_ca(usage=("crl_sign",)), no_ca(uri="urn:test:another")],
    ids=["no CA", "may not sign certificates", "a trusted application that says it is a CA"],
)
def test_who_may_not_issue_certificates_vouches_for_nobody(middle: Made) -> None:
    assert "trust" in judge([made(issuer=middle).certificate], [middle, ROOT])


def test_a_ca_below_a_ca_that_may_have_none_vouches_for_nobody() -> None:
    root = made_ca("root", path_length=0)
    middle = made_ca("middle", 2, issuer=root)
    assert judge([made(issuer=root).certificate], [root]) == {}
    assert "trust" in judge([made(issuer=middle).certificate], [root], [middle])


def test_an_issuer_must_be_valid_and_strong_as_well() -> None:
    old = made_ca("old", until=NOW - DAY, since=NOW - 2 * DAY)
    assert judge([made(issuer=old).certificate], [old])["validity"].startswith("its issuer CN=old is valid from")
    short = made_ca("short", key=rsa_key(bits=1024))
    assert judge([made(issuer=short).certificate], [short]) == {
        "key": "the key of its issuer CN=short is shorter than 2048 bits"
    }


def test_a_revoked_certificate_is_refused_even_if_it_is_trusted_itself() -> None:
    for trusted in ([ROOT], [SERVER, ROOT]):
        found = judge([SERVER.certificate, MIDDLE.certificate], trusted, [], [revocation(MIDDLE, SERVER)])
        assert found == {"revocation": "CN=server is revoked by its issuer"}
    found = judge([SERVER.certificate, MIDDLE.certificate], [ROOT], [], [revocation(ROOT, MIDDLE)])
    assert found == {"revocation": "CN=middle is revoked by its issuer"}


def test_only_the_issuer_revokes() -> None:
    forged = revocation(MIDDLE, SERVER, signed_by=rsa_key(3))
    of_another = revocation(ROOT, SERVER)
    assert judge([SERVER.certificate, MIDDLE.certificate], [ROOT], [], [forged, of_another, revocation(MIDDLE)]) == {}
