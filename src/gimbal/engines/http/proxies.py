"""Which proxy the environment names for an origin: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY as everybody reads them."""

import ipaddress
import urllib.request
from urllib.parse import unquote, urlsplit

import httpcore

from gimbal.engines.http import problems
from gimbal.engines.http.model import Origin
from gimbal.kernel.errors import CorruptSettings
from gimbal.kernel.http import is_loopback

_SCHEMES = ("http", "https", "socks5", "socks5h")


def proxy_of(origin: Origin, environment: dict[str, str] | None = None) -> httpcore.Proxy | None:
    """Return the proxy that is to be used for an origin, None for none.

    This machine itself is never reached through one. `environment` is what `urllib.request.getproxies_environment` gives.
    """
    named = urllib.request.getproxies_environment() if environment is None else environment
    address = named.get(origin.scheme) or named.get("all")
    if not address or is_loopback(origin.host) or _exempt(origin, named):
        return None
    parts = urlsplit(address if "://" in address else f"http://{address}")
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise CorruptSettings(
            f"The proxy for {problems.name_of(origin)} is no address of one.",
            where=f"{origin.scheme.upper()}_PROXY or ALL_PROXY",
            todo=f"Write it as http://host:port; {', '.join(_SCHEMES)} are known.",
        )
    auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = f":{parts.port}" if parts.port else ""
    return httpcore.Proxy(f"{parts.scheme}://{host}{port}", auth=auth)


def _exempt(origin: Origin, named: dict[str, str]) -> bool:
    host = f"{origin.host}:{origin.port}"
    return urllib.request.proxy_bypass_environment(host, named) or _in_network(origin.host, named.get("no", ""))  # pyright: ignore[reportAttributeAccessIssue]


def _in_network(host: str, exempt: str) -> bool:
    """Tell whether an address lies in a network of the list; such entries are no names that end alike."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    for entry in exempt.split(","):
        try:
            if "/" in entry and address in ipaddress.ip_network(entry.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False
