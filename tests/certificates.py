"""Certificates of servers and CAs for tests, right or wrong in one point, made without any code of the gateway."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
URI = "urn:test:server"
SIGN_AND_ENCRYPT = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment")
USAGES = (*SIGN_AND_ENCRYPT, "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")


@functools.cache
def rsa_key(number: int = 0, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return always the same key for a number: making one takes long."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@dataclass(frozen=True)
class Made:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Any

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    def write(self, folder: Path, name: str = "made.der") -> Path:
        """Write the certificate; give its path."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(self.der)
        return folder / name

    def write_key(self, path: Path) -> Path:
        """Write the key as PEM; give its path."""
        path.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return path


def made(
    name: str = "server",
    *,
    issuer: Made | None = None,
    key: Any = None,
    uri: str | None = URI,
    dns: Sequence[str] = ("localhost", "Filler.Plant"),
    ip: Sequence[str] = ("127.0.0.1",),
    ca: bool = False,
    path_length: int | None = None,
    usage: Sequence[str] | None = SIGN_AND_ENCRYPT,
    purposes: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH,),
    since: datetime = NOW - DAY,
    until: datetime = NOW + 30 * DAY,
    hashed: Any = None,
    signed_by: Any = None,
) -> Made:
    """Make a certificate, self-signed without an issuer; `signed_by` is a key that is not the issuer's."""
    key = key or rsa_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(
        issuer.certificate.subject if issuer else subject,
        subject,
        key.public_key(),
        x509.random_serial_number(),
        since,
        until,
    )
    names: list[x509.GeneralName] = [x509.DNSName(one) for one in dns] + [
        x509.IPAddress(IPv4Address(one)) for one in ip
    ]
    if uri:
        names.insert(0, x509.UniformResourceIdentifier(uri))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    if usage is not None:
        builder = builder.add_extension(x509.KeyUsage(**{one: one in usage for one in USAGES}), critical=True)
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    return Made(builder.sign(signed_by or (issuer.key if issuer else key), hashed or hashes.SHA256()), key)


def made_ca(name: str = "CA", number: int = 1, **different: Any) -> Made:
    """Make a CA, with a key of its own."""
    keys: dict[str, Any] = {
        "key": rsa_key(number), "uri": None, "dns": (), "ip": (), "ca": True, "purposes": (),
        "usage": ("key_cert_sign", "crl_sign"),
    }  # fmt: skip
    return made(name, **(keys | different))


def revocation(issuer: Made, *revoked: Made, signed_by: Any = None) -> x509.CertificateRevocationList:
    """Make the list of a CA, out of date since yesterday."""
    builder = x509.CertificateRevocationListBuilder(issuer.certificate.subject, NOW - 2 * DAY, NOW - DAY)
    for one in revoked:
        entry = x509.RevokedCertificateBuilder(one.certificate.serial_number, NOW - 2 * DAY).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(signed_by or issuer.key, hashes.SHA256())


def elliptic_key() -> ec.EllipticCurvePrivateKey:
    """Return a key that none of the policies allows."""
    return ec.generate_private_key(ec.SECP256R1())
