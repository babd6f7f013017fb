"""IP addresses, version 4 and 6, that name a host: neither loopback nor unspecified, and not a version number."""

import ipaddress
from collections.abc import Iterable, Iterator

from gimbal.engines.text.matching import alone, matches, near, pattern
from gimbal.engines.text.model import Detector, Extent

_v4 = pattern(r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b")
_v6 = pattern(r"[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,8}(?:\.\d{1,3}){0,3}")
# `Chrome/120.0.0.0` and `version 1.2.3.4` are no addresses.
_version = pattern(r"(?:[A-Za-z]/|(?i:version|release|build|==|>=|<=|~=)[\"' :=]{0,4})\z")
_gate = pattern(r"\d\.\d{1,3}\.|:[0-9A-Fa-f]{0,4}:")
_FEWEST_COLONS = 6
# What is handed out, so that `abc::def1` in a program is not taken for an address.
_IN_USE = [
    ipaddress.IPv6Network(network)
    for network in ("2000::/3", "64:ff9b::/96", "fc00::/7", "fe80::/10", "ff00::/8", "::ffff:0:0/96")
]


def _accept_v4(data: bytes, extent: Extent) -> bool:
    if not alone(data, extent, hyphens=False) or near(data, extent.start, _version):
        return False
    try:
        address = ipaddress.IPv4Address(data[extent.start : extent.end].decode())
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)


def _accept_v6(data: bytes, extent: Extent) -> bool:
    text = data[extent.start : extent.end]
    if b"::" not in text and text.count(b":") < _FEWEST_COLONS:
        return False
    before, after = data[max(0, extent.start - 1) : extent.start], data[extent.end : extent.end + 1]
    if before.isalnum() or after.isalnum() or before in {b":", b"_"} or after in {b":", b"_"}:
        return False
    try:
        # A sentence goes on with a colon: `2001:db8::1: refused`.
        address = ipaddress.IPv6Address(_sentence(text).decode())
    except ValueError:
        return False
    return any(address in network for network in _IN_USE)


def _sentence(text: bytes) -> bytes:
    return text[:-1] if text.endswith(b":") and not text.endswith(b"::") else text


def find_v4(data: bytes) -> Iterator[Extent]:
    """Yield the addresses of version 4."""
    return matches(_v4, data, lambda extent: _accept_v4(data, extent))


def find_v6(data: bytes) -> Iterator[Extent]:
    """Yield the addresses of version 6."""
    for start, end in matches(_v6, data, lambda extent: _accept_v6(data, extent)):
        yield Extent(start, start + len(_sentence(data[start:end])))


def find(data: bytes) -> Iterable[Extent]:
    """Return the addresses of both versions."""
    return sorted([*find_v4(data), *find_v6(data)])


IP = Detector(
    name="ip",
    kind="ip",
    family="network",
    description="IP addresses, version 4 and 6",
    rank=40,
    gate=_gate.search,
    find=find,
)
