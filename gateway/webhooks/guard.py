"""Which addresses a webhook may be sent to: a URL must not become a way into the plant (SSRF). Pure.

What is looked at is the address that is connected to, never a name: a name says something else the next moment.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

from gateway.webhooks.endpoint import Endpoint

Address = IPv4Address | IPv6Address
METADATA: Final = frozenset(map(ip_address, ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16")))
"""Where clouds tell the machines that run there their credentials."""
_TRANSLATED: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))
"""Networks of IPv6 whose last 32 bits are an address of IPv4 (RFC 6052, RFC 4291)."""


def refusal(text: str, endpoint: Endpoint) -> str:
    """Return why an address is not asked, and nothing if it is."""
    address = ip_address(text.partition("%")[0])
    if any(address.version == network.version and address in network for network in endpoint.networks):
        return ""
    kinds = {kind for one in (address, *_within(address)) if (kind := _kind(one))}
    if kinds - ({"private", "loopback"} if endpoint.private else set()):
        return f"{address} is {', '.join(sorted(kinds))}, which webhooks.{endpoint.name}.allow_private does not allow"
    return ""


def _kind(address: Address) -> str:
    """What makes an address one that is not asked without leave; nothing if it is one of the internet."""
    if address in METADATA or address.is_link_local:
        return "link-local or of a cloud's metadata"
    if address.is_multicast or address.is_unspecified:
        return "no address of one machine"
    if address.is_loopback:
        return "loopback"
    local = isinstance(address, IPv6Address) and address.is_site_local
    return "" if (address.is_global and not local) or _within(address) else "private"


def _within(address: Address) -> list[IPv4Address]:
    """The addresses of IPv4 that one of IPv6 stands for."""
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _TRANSLATED) and int(address) > 1:
        found.append(IPv4Address(int(address) & 0xFFFF_FFFF))
    return [one for one in found if one is not None]
