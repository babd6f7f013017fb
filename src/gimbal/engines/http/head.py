"""The head of a request as bytes, and what must never get into it.

Both clients build it here, so that both refuse the same. Checks are by sums over the whole head where they can be:
a request of the gateway has a dozen headers, and each microsecond is paid by every call.
"""

import re
from collections.abc import AsyncIterator
from typing import Final

from gimbal.engines.http.model import HeaderList, Origin, SizedBody
from gimbal.kernel.errors import BadInput

METHODS: Final = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
# A body is expected of these: they say that theirs is empty. Source: RFC 9110, section 8.6.
_WITH_BODY: Final = frozenset({b"POST", b"PUT", b"PATCH"})
# What the connection is about belongs to the client.
_OURS: Final = frozenset(
    {b"connection", b"content-length", b"expect", b"host", b"keep-alive", b"proxy-connection", b"te", b"trailer",
     b"transfer-encoding", b"upgrade"}
)  # fmt: skip
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TARGET: Final = re.compile(rb"(?:/[!-~]*|\*)")
_HOST: Final = re.compile(r"[!-~]+")
_NOT_IN_HOST: Final = frozenset('/\\?#@"<>^`{|}')
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# Of what is remembered.
_MOST, _SHORT, _MOST_LINES = 4096, 256, 16


class _Lines(dict[bytes, bytes]):
    """What comes before the value, by the name of a header: names are few, and are looked at once."""

    def __missing__(self, name: bytes) -> bytes:
        if _NAME.fullmatch(name) is None:
            raise _refused(f"{name!r} is no name of a header", "headers")
        if name.lower() in _OURS:
            raise _refused(f"The header {name.decode()} is set by the client itself", "headers")
        line = b"\r\n" + name + b": "
        if len(self) < _MOST:
            self[name] = line
        return line


class _Targets(dict[bytes, bytes]):
    """Targets that are right, by themselves."""

    def __missing__(self, target: bytes) -> bytes:
        if _TARGET.fullmatch(target) is None:
            raise _refused("The target of a request is a path, percent-encoded", "target")
        if len(self) < _MOST and len(target) <= _SHORT:
            self[target] = target
        return target


def host_line(origin: Origin) -> bytes:
    """Return what stands between the target of a request and its headers; raise BadInput for what is no origin."""
    scheme, host, port = origin
    if scheme not in DEFAULT_PORTS or not 0 < port < 65536:
        raise _refused(f"{scheme!r} and {port} are no scheme and port of HTTP", "origin")
    try:
        name = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        name = ""
    if not _HOST.fullmatch(name) or not _NOT_IN_HOST.isdisjoint(name):
        raise _refused(f"{host!r} is no name of a host", "origin")
    if ":" in name:
        name = f"[{name.strip('[]')}]"
    return f" HTTP/1.1\r\nhost: {name if port == DEFAULT_PORTS[scheme] else f'{name}:{port}'}".encode()


async def body_of(method: bytes, stream: AsyncIterator[bytes]) -> bytes | AsyncIterator[bytes]:
    """Return a body that comes as a stream, or none at all where none is usual and the stream gives nothing.

    Not every server takes a GET that announces chunks.
    """
    if method in _WITH_BODY or isinstance(stream, SizedBody):
        return stream
    async for first in stream:
        if first:
            return _after(first, stream)
    return b""


async def _after(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


class Heads:
    """Makes the heads of requests to one origin."""

    def __init__(self, origin: Origin) -> None:
        self._host = host_line(origin)
        self._made: dict[int, tuple[HeaderList, bytes]] = {}

    def head(self, method: bytes, target: bytes, headers: HeaderList, length: int | None) -> bytes:
        """Return the head of a request; `length` is that of its body, None when it goes in chunks.

        Raise BadInput for a line break in it, for a name that is none, and for headers that are the client's to set.
        """
        if method not in METHODS:
            raise _refused(f"{method!r} is no method that is sent here", "method")
        # Most requests to a provider have the very same headers.
        known = self._made.get(id(headers))
        lines = self._lines(headers) if known is None or known[0] is not headers else known[1]
        if length is None:
            end = b"\r\ntransfer-encoding: chunked\r\n\r\n"
        elif length or method in _WITH_BODY:
            end = b"\r\ncontent-length: %d\r\n\r\n" % length
        else:
            end = b"\r\n\r\n"
        return b"".join((method, b" ", _targets[target], self._host, lines, end))

    def _lines(self, headers: HeaderList) -> bytes:
        lines = b"".join([part for name, value in headers for part in (_lines[name], value)])
        ends = len(headers)
        if lines.count(b"\n") != ends or lines.count(b"\r") != ends or b"\0" in lines:
            raise _refused("A header has a line break or a zero byte in it", "headers")
        # What cannot change may be remembered.
        if type(headers) is tuple:
            if len(self._made) >= _MOST_LINES:
                self._made.clear()
            self._made[id(headers)] = (headers, lines)
        return lines


def _refused(words: str, where: str) -> BadInput:
    return BadInput(f"{words}.", where=where, kept="nothing was sent", todo="Mend the request.")


_lines, _targets = _Lines(), _Targets()
