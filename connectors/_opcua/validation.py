"""What is wrong with the certificate of a server. Pure: knows no files, no network and no clock.

The checks of OPC 10000-4, 6.1.3, in its order. asyncua offers a part of them: it takes no self-signed certificate
that is no CA, compares no host name, no key length and no chain beyond the root, and takes a revocation list from
anybody.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from itertools import pairwise
from typing import Final, TypeVar, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID

E = TypeVar("E", bound=x509.ExtensionType)

_KEY_BITS: Final = (2048, 4096)
"""Shortest and longest RSA key that the three policies allow (OPC 10000-7)."""
_HASHES: Final = ("sha256", "sha384", "sha512")
_PATH_MAX: Final = 8
"""Most certificates between a server and its root; a real one has three."""
_SHOWN_MAX: Final = 120


@dataclass(frozen=True, slots=True)
class Trust:
    """Certificates that are trusted, certificates that only complete chains, and what is revoked."""

    trusted: Sequence[x509.Certificate]
    issuers: Sequence[x509.Certificate]
    revocations: Sequence[x509.CertificateRevocationList]


def faults(
    sent: Sequence[x509.Certificate], trust: Trust, *, host: str, application_uri: str, now: datetime
) -> dict[str, str]:
    """Return what is wrong, by the name of the check: signature, key, trust, validity, host_name, ...; empty if well.

    `sent` is the certificate of the server and what it sent of its chain, which is believed nothing. `host` is how
    the server is addressed, `application_uri` what it calls itself.
    """
    certificate = sent[0]
    path = _path(certificate, [*trust.trusted, *trust.issuers, *sent[1:]])
    found = {
        "signature": _signature(certificate),
        "key": _key(path),
        "trust": _trust(path, trust.trusted),
        "validity": _validity(path, now),
        "host_name": _host_name(certificate, host),
        "application_uri": _application_uri(certificate, application_uri),
        "usage": _usage(certificate),
        "revocation": _revocation(path, trust.revocations),
    }
    return {check: fault for check, fault in found.items() if fault}


def subject(certificate: x509.Certificate) -> str:
    """Return the subject for people. Strangers choose it, so it is cut and has no control characters."""
    return shown(certificate.subject.rfc4514_string()) or "without a subject"


def shown(text: str) -> str:
    """Return text of a stranger as it may stand in a message."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_SHOWN_MAX])


def thumbprint(certificate: x509.Certificate) -> str:
    """Return the SHA-1 of the certificate, as servers show it; it names a certificate and proves nothing."""
    return certificate.fingerprint(hashes.SHA1()).hex().upper()


def uris(certificate: x509.Certificate) -> list[str]:
    """Return the application URIs that a certificate is made for; an application's has one."""
    names = _extension(certificate, x509.SubjectAlternativeName)
    return [] if names is None else names.get_values_for_type(x509.UniformResourceIdentifier)


# --- the chain ----------------------------------------------------------------------------


def _path(certificate: x509.Certificate, known: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """The certificate and those above it, as far as they are known; each one has signed the one before."""
    path = [certificate]
    while path[-1].issuer != path[-1].subject and len(path) < _PATH_MAX:
        issuer = next((one for one in known if _may_issue(one, len(path) - 1) and _signed(path[-1], one)), None)
        if issuer is None:
            break
        path.append(issuer)
    return path


def _may_issue(certificate: x509.Certificate, below: int) -> bool:
    """Whether it is a CA that may have so many CAs below. The certificate of an application never is.

    Many self-signed ones say that they are; to trust such a server must not mean to trust whomever it vouches for.
    """
    constraints = _extension(certificate, x509.BasicConstraints)
    usage = _extension(certificate, x509.KeyUsage)
    return (
        constraints is not None
        and constraints.ca
        and (constraints.path_length is None or constraints.path_length >= below)
        and (usage is None or usage.key_cert_sign)
        and not uris(certificate)
    )


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, TypeError, ValueError):  # ValueError: the names differ
        return False
    return True


# --- the checks: each returns what is wrong, or nothing ------------------------------------


def _signature(certificate: x509.Certificate) -> str:
    """Of a self-signed one; if that of another is wrong, its issuer is unknown. A weak hash is another fault."""
    broken = certificate.issuer == certificate.subject and not _signed(certificate, certificate)
    return "its signature is wrong" if broken and _hash(certificate) in _HASHES else ""


def _key(path: Sequence[x509.Certificate]) -> str:
    """Key lengths and hashes. Nobody relies on the signature of the last one, unless it is alone."""
    shortest, longest = _KEY_BITS
    key = path[0].public_key()
    if not isinstance(key, RSAPublicKey) or not shortest <= key.key_size <= longest:
        return f"its key is not RSA with {shortest} to {longest} bits"
    for one in path[1:]:
        key = one.public_key()
        if isinstance(key, RSAPublicKey) and key.key_size < shortest:
            return f"the key of its issuer {subject(one)} is shorter than {shortest} bits"
    weak = [name for one in path[:-1] or path if (name := _hash(one)) not in _HASHES]
    return f"it is signed with {weak[0]}, not with SHA-256 or better" if weak else ""


def _hash(certificate: x509.Certificate) -> str:
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        algorithm = None
    return algorithm.name if algorithm else "an unknown hash"


def _trust(path: Sequence[x509.Certificate], trusted: Sequence[x509.Certificate]) -> str:
    if any(one in trusted for one in path):
        return ""
    top = path[-1]
    if top.issuer == top.subject:
        return "it is not trusted" if len(path) == 1 else f"neither it nor its issuer {subject(top)} is trusted"
    return f"it is not trusted, and its issuer {shown(top.issuer.rfc4514_string())} is not known"


def _validity(path: Sequence[x509.Certificate], now: datetime) -> str:
    for one in path:
        if not one.not_valid_before_utc <= now <= one.not_valid_after_utc:
            whose = "it" if one is path[0] else f"its issuer {subject(one)}"
            since, until = one.not_valid_before_utc.date(), one.not_valid_after_utc.date()
            return f"{whose} is valid from {since} to {until}, and here it is {now.date()}"
    return ""


def _host_name(certificate: x509.Certificate, host: str) -> str:
    names = list(_hosts(certificate))
    if _host(host) in names:
        return ""
    return f"it is made for {shown(', '.join(names)) or 'no host'}, not for {host}"


def _hosts(certificate: x509.Certificate) -> Iterator[str]:
    names = _extension(certificate, x509.SubjectAlternativeName)
    if names is not None:
        yield from map(_host, names.get_values_for_type(x509.DNSName))
        yield from (str(address) for address in names.get_values_for_type(x509.IPAddress))


def _host(name: str) -> str:
    """A host as it can be compared: addresses in their shortest form, names without capitals."""
    try:
        return str(ip_address(name))
    except ValueError:
        return name.casefold().rstrip(".")


def _application_uri(certificate: x509.Certificate, application_uri: str) -> str:
    found = uris(certificate)
    if application_uri in found:
        return ""
    return f"it is made for the application {shown(', '.join(found)) or 'nobody'}, not for {shown(application_uri)}"


def _usage(certificate: x509.Certificate) -> str:
    """What the policies do with it must be allowed; what it does not speak of is (as in the OPC Foundation's stack)."""
    usage = _extension(certificate, x509.KeyUsage)
    if usage is not None and not (usage.digital_signature and usage.data_encipherment):
        return "its key may not be used to sign and to encrypt"
    purposes = _extension(certificate, x509.ExtendedKeyUsage)
    allowed = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    return "" if purposes is None or allowed & set(purposes) else "it is not that of a server"


def _revocation(path: Sequence[x509.Certificate], revocations: Sequence[x509.CertificateRevocationList]) -> str:
    """By lists that the issuer has signed. A list that is out of date still revokes what it names."""
    for one, issuer in pairwise(path):
        key = cast(CertificateIssuerPublicKeyTypes, issuer.public_key())  # it has signed a certificate
        for revoked in revocations:
            if (
                revoked.issuer == issuer.subject
                and revoked.get_revoked_certificate_by_serial_number(one.serial_number) is not None
                and revoked.is_signature_valid(key)
            ):
                return f"{subject(one)} is revoked by its issuer"
    return ""


def _extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
