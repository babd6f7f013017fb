"""Undoes the encoding of a body in steps of bounded size, that of a request as that of an answer.

A kilobyte of zstd can stand for gigabytes: no step yields more than `STEP`, so that whoever counts the bytes stops in time.
"""

import importlib
import sys
import zlib
from collections.abc import Iterator
from typing import Any, Protocol

from gimbal.kernel.settings import KIB

STEP = 64 * KIB
ENCODINGS = ("gzip", "deflate", "zstd")
# Source: RFC 9659, section 3: a window over 8 MB is not for `Content-Encoding: zstd`.
_WINDOW_LOG = 23
_GZIP_OR_ZLIB, _BARE = 47, -15  # 32 + 15: finds out itself which of the two it is


class Undecodable(ValueError):
    """A body is not what its encoding says."""


class _Unpacker(Protocol):
    """One stream of the encoding; a body may be several, one after the other."""

    @property
    def eof(self) -> bool:
        """Whether the stream has come to its end."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What came after the end."""
        ...

    def step(self, data: bytes) -> tuple[bytes, bytes, bool]:
        """Return at most `STEP` bytes, the input that was not looked at, and whether more comes without new input."""
        ...


class _Zlib:
    def __init__(self, wbits: int) -> None:
        self._stream = zlib.decompressobj(wbits=wbits)

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def step(self, data: bytes) -> tuple[bytes, bytes, bool]:
        piece = self._stream.decompress(data, STEP)
        rest = self._stream.unconsumed_tail
        return piece, rest, bool(rest) or len(piece) == STEP


class _Zstd:
    def __init__(self) -> None:
        # Few use it; not worth its import at every start. In the standard library from 3.14.
        zstd: Any = importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
        self._stream = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG})
        self._error: type[Exception] = zstd.ZstdError

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def step(self, data: bytes) -> tuple[bytes, bytes, bool]:
        try:
            piece = self._stream.decompress(data, STEP)
        except self._error as problem:
            raise ValueError(str(problem)) from None
        return piece, b"", not self._stream.needs_input


class Unpacking:
    """One body on its way out of its encoding, which is one of `ENCODINGS`."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._stream: _Unpacker | None = None
        self._held = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` stands for, in small steps; raise Undecodable when it is not what it says."""
        try:
            stream = self._stream
            while data:
                if stream is None or stream.eof:
                    data = self._held + data
                    if self._encoding == "deflate" and len(data) < 2:
                        self._held = data
                        return
                    stream = self._stream = self._begun(data)
                more = True
                while more and not stream.eof:
                    piece, data, more = stream.step(data)
                    if piece:
                        yield piece
                if stream.eof:
                    data = stream.unused_data
        except (zlib.error, ValueError, EOFError) as problem:
            raise Undecodable(str(problem)) from None

    def end(self) -> None:
        """Raise Undecodable when the body ended before its last stream did."""
        if self._held or (self._stream is not None and not self._stream.eof):
            raise Undecodable("it ends too early")

    def _begun(self, data: bytes) -> _Unpacker:
        self._held = b""
        if self._encoding == "zstd":
            return _Zstd()
        # Source: RFC 9110, section 8.4.1.2: some send deflate without the zlib format around it.
        bare = self._encoding == "deflate" and not (
            data[:2] == b"\x1f\x8b" or (data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0)
        )
        return _Zlib(_BARE if bare else _GZIP_OR_ZLIB)
