"""What is on the disk, read as whoever took the disk would: compressed blocks of the columns are unpacked first."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

_METHODS = {0x82: "lz4_raw", 0x90: "zstd"}
_CHECKSUM, _HEADER = 16, 9


def files_with(folder: Path, needle: str) -> list[str]:
    """Return the files below a folder that hold a text, in plain bytes or in a compressed block."""
    wanted, found = needle.encode(), list[str]()
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # an old part that goes while we look
            continue
        if wanted in content or any(wanted in block for block in _blocks(content)):
            found.append(path.relative_to(folder).as_posix())
    return found


def _blocks(content: bytes) -> Iterator[bytes]:
    """Yield the unpacked blocks of a file of the columns; nothing for any other file."""
    at = 0
    while at + _CHECKSUM + _HEADER <= len(content):
        method, packed, plain = struct.unpack_from("<BII", content, at + _CHECKSUM)
        if method not in {*_METHODS, 0x02} or packed < _HEADER or at + _CHECKSUM + packed > len(content):
            return
        body = content[at + _CHECKSUM + _HEADER : at + _CHECKSUM + packed]
        try:
            yield body if method == 0x02 else pa.decompress(body, plain, _METHODS[method], asbytes=True)
        except pa.ArrowException:
            return
        at += _CHECKSUM + packed
