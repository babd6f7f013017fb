"""What goes to a provider besides the body: where connections go, and which headers, ours and the caller's."""

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlsplit

from gimbal.engines.http.model import HeaderList, Origin
from gimbal.kernel.errors import ConfigurationError

# Headers of the caller that mean something to a provider of the same wire. Everything else is between the caller and us.
PASSED: Mapping[str, frozenset[bytes]] = {
    "openai": frozenset(
        {b"openai-organization", b"openai-project", b"openai-beta", b"idempotency-key", b"x-client-request-id"}
    ),
    "anthropic": frozenset({b"anthropic-version", b"anthropic-beta", b"idempotency-key"}),
}
# What a passed-through request may carry besides: what its body is, and which part of a file is wanted.
PASSED_THROUGH = frozenset({b"content-type", b"accept", b"range", b"if-none-match"})


_PORTS = {"http": 80, "https": 443}


def with_passed(headers: HeaderList, given: HeaderList, passed: frozenset[bytes]) -> HeaderList:
    """Return the headers with those of the caller that are passed; theirs take the place of ours of the same name."""
    theirs = [row for row in given if row[0] in passed]
    if not theirs:
        return headers
    names = {name for name, _ in theirs}
    return [*(row for row in headers if row[0] not in names), *theirs]


def ids(listed: Any, field: str, name: str) -> list[str]:
    """Return the names in a list of models that a provider sent; what is not of that form is passed over."""
    rows = cast("dict[str, Any]", listed).get(field) if isinstance(listed, dict) else None
    found = cast("list[Any]", rows) if isinstance(rows, list) else []
    return [str(row[name]) for row in found if isinstance(row, dict) and row.get(name)]


def address(url: str, name: str, where: str = "base_url") -> tuple[Origin, str]:
    """Return where connections go and the path that requests begin with; raise ConfigurationError for no address."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    # What is read of an address is not all of it: breaks of lines are passed over.
    clean = url.isascii() and url.isprintable() and " " not in url
    whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and port != -1
    if not clean or not whole or parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigurationError(
            f"The address of the provider {name!r} is none.",
            where=where,
            todo="Write it like https://host/v1, without a user, a password or a query.",
        )
    return Origin(parts.scheme, parts.hostname or "", port or _PORTS[parts.scheme]), parts.path.rstrip("/")


def authority(host: str) -> str:
    """Return the address of a host of Entra, which is often given without a scheme."""
    return (host if "://" in host else f"https://{host}").rstrip("/")


# Headers that we make ourselves, and those by which somebody proves who asks.
_RESERVED_WORDS = """
authorization proxy-authorization x-api-key api-key x-goog-api-key cookie host content-length content-type
transfer-encoding connection te upgrade x-amz-date x-amz-security-token
"""
_RESERVED = frozenset(_RESERVED_WORDS.split())


def header(name: str, value: str) -> tuple[bytes, bytes]:
    """Return a configured header as it is sent; raise ConfigurationError for one that cannot be."""
    low = name.lower()
    plain = low.isascii() and low.replace("-", "").replace("_", "").isalnum()
    if not plain or low in _RESERVED or not value.isascii() or not value.isprintable():
        raise ConfigurationError(
            f"The header {name!r:.80} cannot be set.",
            where="headers",
            todo="Keys belong in api_key_env or the sealed key; values are printable ASCII.",
        )
    return low.encode(), value.encode()
