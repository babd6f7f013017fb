"""Undoes the encoding of a request body in steps of bounded size.

A kilobyte of zstd can stand for gigabytes: no step yields more than `STEP`, so that whoever counts the bytes stops in time.
"""

import importlib
import sys
import zlib
from collections.abc import Iterator
from typing import Any, Protocol

from gimbal.kernel.errors import CorruptUpload, WrongMediaType
from gimbal.kernel.settings import KIB

STEP = 64 * KIB
ENCODINGS = ("gzip", "deflate", "zstd")
# Source: RFC 9659, section 3: a window over 8 MB is not for `Content-Encoding: zstd`.
_WINDOW_LOG = 23


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
    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=47)  # 32 + 15: finds out itself whether it is gzip or zlib

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
        # Only OTLP senders use it; not worth its import at every start. In the standard library from 3.14.
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
    """One body on its way out of its encoding; raise WrongMediaType for an encoding that is not read here."""

    def __init__(self, encoding: str) -> None:
        if encoding not in ENCODINGS:
            raise WrongMediaType(
                f"The encoding {encoding!r} is not read here.",
                where="Content-Encoding",
                todo=f"Send {', '.join(ENCODINGS)} or identity.",
            )
        self._encoding = encoding
        self._stream: _Unpacker | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` stands for, in small steps; raise CorruptUpload when it is not what it says."""
        try:
            stream = self._stream
            while data:
                if stream is None or stream.eof:
                    stream = self._stream = _Zstd() if self._encoding == "zstd" else _Zlib()
                more = True
                while more and not stream.eof:
                    piece, data, more = stream.step(data)
                    if piece:
                        yield piece
                if stream.eof:
                    data = stream.unused_data
        except (zlib.error, ValueError, EOFError) as problem:
            raise self._corrupt(str(problem)) from None

    def end(self) -> None:
        """Raise CorruptUpload when the body ended before its last stream did."""
        if self._stream is not None and not self._stream.eof:
            raise self._corrupt("it ends too early")

    def _corrupt(self, why: str) -> CorruptUpload:
        return CorruptUpload(f"The body is not valid {self._encoding}: {why}.", where="body", todo="Send it again.")
