"""The folder `pki` of the gateway: who we are, whom we trust, and who was turned away. Knows no session.

    own/certs, own/private            our certificate, and its key that only we may read
    trusted/certs, trusted/crl        who is trusted: servers, and issuers of servers
    issuer/certs, issuer/crl          issuers that complete a chain and are not trusted for that
    rejected/certs                    what servers have shown that are not trusted; an engineer moves it to trusted

The layout is that of other OPC UA products. Files are DER or PEM. Everything is read again for every session, so what
an engineer moves counts at the next attempt.
"""

import os
import re
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final, cast
from urllib.parse import quote

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from connectors._opcua.validation import Trust, thumbprint, uris

_NAME: Final = "itot-gateway"
_KEY_BITS: Final = 2048
"""What every device understands; the policies allow 2048 to 4096."""
_VALID: Final = timedelta(days=3652)
"""Ten years: an engineer walks to every device when it changes."""
_BACKDATED: Final = timedelta(days=1)
"""So that a device whose clock is a little late takes it."""
_REJECTED_MAX: Final = 100
"""Files in rejected/certs; the oldest go first."""
_CHAIN_MAX: Final = 10
_SUFFIXES: Final = (".der", ".cer", ".crt", ".pem", ".crl")
_PEM: Final = b"-----BEGIN"
_MALFORMED: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, slots=True)
class Own:
    """Our application certificate and its key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def application_uri(self) -> str:
        """What we must call ourselves: the URI in the certificate (OPC 10000-6, 6.2.2)."""
        return uris(self.certificate)[0]


@dataclass(frozen=True, slots=True)
class Pki:
    """A folder of certificates. Raises ValueError naming a file that is damaged, OSError for one that cannot be had."""

    folder: Path

    @property
    def own_path(self) -> Path:
        return self.folder / "own" / "certs" / f"{_NAME}.der"

    @property
    def key_path(self) -> Path:
        return self.folder / "own" / "private" / f"{_NAME}.pem"

    @property
    def trusted(self) -> Path:
        return self.folder / "trusted" / "certs"

    @property
    def rejected(self) -> Path:
        return self.folder / "rejected" / "certs"

    def own(self, now: datetime) -> Own:
        """Return our certificate and key; they are made the first time, and whoever is first wins.

        The key is made first, and the certificate from the key that is there: so no two can be mixed up, whenever
        a process ends.
        """
        self._make_folders()
        key = private_key(self.key_path, _made_once(self.key_path, _new_key, mode=0o600))
        content = _made_once(self.own_path, lambda: _new_certificate(key, now), mode=0o644)
        certificate = _certificates(self.own_path, content)[0]
        if certificate.public_key() != key.public_key():
            raise ValueError(f"{self.key_path} is not the key of {self.own_path}: put the one that is, or remove both")
        if len(uris(certificate)) != 1:
            raise ValueError(f"{self.own_path} must have one URI in its subject alternative names: our application URI")
        return Own(certificate, key)

    def trust(self) -> Trust:
        """Return what is trusted now."""
        revocations = [
            revocation
            for folder in ("trusted", "issuer")
            for path in files(self.folder / folder / "crl")
            for revocation in _revocations(path)
        ]
        return Trust(self._stored(self.trusted), self._stored(self.folder / "issuer" / "certs"), revocations)

    def reject(self, certificate: x509.Certificate) -> Path:
        """Keep a certificate that is not trusted, for an engineer to look at; return its file."""
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", str(names[0].value))[:40].strip("-") if names else ""
        path = self.rejected / f"{name or 'unnamed'}-{thumbprint(certificate)}.der"
        self._make_folders()
        if not path.exists():
            there = sorted(files(self.rejected), key=lambda file: file.stat().st_mtime_ns)
            for oldest in there[: max(0, len(there) - _REJECTED_MAX + 1)]:
                oldest.unlink(missing_ok=True)
            _write(path, certificate.public_bytes(Encoding.DER), mode=0o644)
        return path

    def accept(self, wanted: str) -> Path:
        """Move a certificate from rejected to trusted, by thumbprint or file. Raises LookupError if it is not there."""
        digits = re.sub(r"[\s:]", "", wanted).upper()
        for path in files(self.rejected):
            if Path(wanted).name == path.name or digits == thumbprint(read_certificates(path)[0]):
                self._make_folders()
                return path.replace(self.trusted / path.name)
        raise LookupError(f"{wanted} is not in {self.rejected}")

    def _stored(self, folder: Path) -> list[x509.Certificate]:
        return [certificate for path in files(folder) for certificate in read_certificates(path)]

    def _make_folders(self) -> None:
        for folder in (self.own_path.parent, self.trusted, self.rejected):
            folder.mkdir(parents=True, exist_ok=True)
        for name in ("trusted/crl", "issuer/certs", "issuer/crl"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.key_path.parent.mkdir(mode=0o700, exist_ok=True)


# --- reading ------------------------------------------------------------------------------


def files(folder: Path) -> list[Path]:
    """Return the files of a folder that say by their names that they are certificates or revocation lists."""
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in _SUFFIXES)


def read_certificates(path: Path) -> list[x509.Certificate]:
    """Return the certificates of a file. Raises ValueError naming it."""
    return _certificates(path, path.read_bytes())


def certificates(content: bytes) -> list[x509.Certificate]:
    """Return the certificates in PEM or DER, one after the other, as servers send a chain (OPC 10000-6, 6.2.6).

    Raises ValueError if there is none, too many, or anything in them cannot be understood.
    """
    try:
        found = [*_from_pem(content)] if content.startswith(_PEM) else [*_from_der(content)]
        for one in found:  # all this is decoded when it is asked for, so let it be here
            _ = one.extensions, one.public_key(), one.subject.rfc4514_string(), one.issuer.rfc4514_string()
    except _MALFORMED as error:
        raise ValueError(f"malformed certificate: {error}") from error
    if not 0 < len(found) <= _CHAIN_MAX:
        raise ValueError(f"{len(found)} certificates where there should be 1 to {_CHAIN_MAX}")
    return found


def private_key(path: Path, content: bytes) -> rsa.RSAPrivateKey:
    """Return an RSA key in PEM or DER. Raises ValueError naming the file, and nothing of what is in it."""
    load = load_pem_private_key if content.startswith(_PEM) else load_der_private_key
    try:
        # The primes of our own file are not tested again for every session: that takes 40 ms.
        key = load(content, password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"{path} is not a private key in PEM or DER without a password") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError(f"{path} is not an RSA key")
    return key


def _certificates(path: Path, content: bytes) -> list[x509.Certificate]:
    try:
        return certificates(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _from_pem(content: bytes) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(content)


def _from_der(content: bytes) -> Iterator[x509.Certificate]:
    """Cut where the length of each says that it ends (X.690, 8.1.3)."""
    while content:
        size = content[1] if len(content) > 1 else 0
        header = 2
        if size & 0x80:
            header += size & 0x7F
            size = int.from_bytes(content[2:header], "big")
        yield x509.load_der_x509_certificate(content[: header + size])
        content = content[header + size :]


def _revocations(path: Path) -> list[x509.CertificateRevocationList]:
    content = path.read_bytes()
    load = x509.load_pem_x509_crl if content.startswith(_PEM) else x509.load_der_x509_crl
    try:
        return [load(content)]
    except _MALFORMED as error:
        raise ValueError(f"{path}: malformed revocation list: {error}") from error


# --- making -------------------------------------------------------------------------------


def _new_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _new_certificate(key: rsa.RSAPrivateKey, now: datetime) -> bytes:
    """A self-signed application certificate (OPC 10000-6, 6.2.2).

    It says CA with a path length of 0, because it may sign itself (keyCertSign), which RFC 5280 allows to a CA only;
    some servers, asyncua's among them, trust a self-signed certificate only if it does.
    """
    host = quote(socket.gethostname()) or "localhost"
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, f"{_NAME}@{host}"[:64]),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _NAME),
        ]
    )
    usage = dict.fromkeys(("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"), True)
    no_usage = dict.fromkeys(("key_agreement", "crl_sign", "encipher_only", "decipher_only"), False)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    names = [x509.UniformResourceIdentifier(f"urn:{host}:{_NAME}"), x509.DNSName(host), *_addresses()]
    since = now.replace(microsecond=0) - _BACKDATED
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), since, since + _VALID)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(**usage, **no_usage, key_cert_sign=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.DER)


def _addresses() -> list[x509.GeneralName]:
    """The address by which this machine reaches others, if it has any. Nothing is sent, and no name is looked up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 4840))  # an address of nobody (RFC 5737)
        except OSError:
            return []
        return [x509.IPAddress(ip_address(cast(str, probe.getsockname()[0])))]


def _made_once(path: Path, make: Callable[[], bytes], *, mode: int) -> bytes:
    """The content of a file. If there is none it is made, and whoever is first wins."""
    if not path.exists():
        _write(path, make(), mode=mode)
    return path.read_bytes()


def _write(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file that is there as a whole or not at all; if it is there already, it stays as it is."""
    handle, name = tempfile.mkstemp(dir=path.parent)  # readable for nobody else
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        with suppress(FileExistsError):
            path.hardlink_to(temporary)
    finally:
        temporary.unlink()
