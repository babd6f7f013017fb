"""Amazon's signature of requests, version 4: who asks, for what, when, under a key derived for one day and service."""

import hashlib
import hmac
import re
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from gimbal.engines.http.model import HeaderList, Origin
from gimbal.kernel.errors import ConfigurationError

_SPACES = re.compile(rb"[ \t\r\n]+")
_UNSIGNED = frozenset({b"user-agent", b"content-length", b"connection", b"expect", b"x-amzn-trace-id"})


class AwsKey(NamedTuple):
    """Who asks."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""

    def __repr__(self) -> str:
        """Name it, without its secret."""
        return f"AwsKey({self.access_key_id!r})"


class _Said(msgspec.Struct, frozen=True, kw_only=True):
    access_key_id: str
    secret_access_key: str
    session_token: str = ""


def aws_key(text: str, name: str) -> AwsKey:
    """Read `{"access_key_id": …, "secret_access_key": …, "session_token": …}`; raise ConfigurationError otherwise."""
    try:
        said = msgspec.json.decode(text, type=_Said)
    except (msgspec.DecodeError, msgspec.ValidationError):
        raise ConfigurationError(
            f"The key of the provider {name!r} is not a key of Amazon's.",
            where="key",
            todo='Write it like {"access_key_id": "…", "secret_access_key": "…"}, with session_token where there is one.',
        ) from None
    return AwsKey(said.access_key_id, said.secret_access_key, said.session_token)


def host_of(origin: Origin) -> str:
    """Return an origin as the header says it, which is signed."""
    usual = {"https": 443, "http": 80}[origin.scheme] == origin.port
    return origin.host if usual else f"{origin.host}:{origin.port}"


def signed(
    key: AwsKey,
    *,
    method: str,
    host: str,
    target: bytes,
    headers: HeaderList,
    body: bytes,
    region: str,
    service: str,
    at: datetime,
) -> list[tuple[bytes, bytes]]:
    """Return the headers with those that sign the request; `target` is path and query as they go on the wire."""
    stamp = at.strftime("%Y%m%dT%H%M%SZ")
    full = [*headers, (b"x-amz-date", stamp.encode())]
    if key.session_token:
        full.append((b"x-amz-security-token", key.session_token.encode()))
    to_sign = [(b"host", host.encode()), *(row for row in full if row[0].lower() not in _UNSIGNED)]
    path, _, query = target.decode("ascii").partition("?")
    text, names = canonical(method, path, query, to_sign, hashlib.sha256(body).hexdigest())
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    statement = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(text).hexdigest()}"
    made = hmac.new(_derived(key, stamp[:8], region, service), statement.encode(), hashlib.sha256).hexdigest()
    proof = f"AWS4-HMAC-SHA256 Credential={key.access_key_id}/{scope}, SignedHeaders={names}, Signature={made}"
    return [*full, (b"authorization", proof.encode())]


def canonical(method: str, path: str, query: str, headers: HeaderList, digest: str) -> tuple[bytes, str]:
    """Return the canonical form of a request, and the names of its headers."""
    by_name: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        by_name.setdefault(name.lower(), []).append(_SPACES.sub(b" ", value).strip())
    names = sorted(by_name)
    lines = b"".join(name + b":" + b",".join(by_name[name]) + b"\n" for name in names)
    listed = b";".join(names)
    # What is escaped in the path is escaped once more: every service but the store of objects has it so.
    parts = [method, quote(path or "/", safe="/-_.~"), _query(query)]
    text = "\n".join(parts).encode() + b"\n" + lines + b"\n" + listed + b"\n" + digest.encode()
    return text, listed.decode()


def _query(query: str) -> str:
    pairs = sorted((part.partition("=")[0], part.partition("=")[2]) for part in query.split("&") if part)
    return "&".join(f"{name}={value}" for name, value in pairs)


def _derived(key: AwsKey, day: str, region: str, service: str) -> bytes:
    made = b"AWS4" + key.secret_access_key.encode()
    for part in (day, region, service, "aws4_request"):
        made = hmac.new(made, part.encode(), hashlib.sha256).digest()
    return made
