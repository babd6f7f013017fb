"""What goes over the socket between the server and a model process: framed messages, rows as an Arrow stream.

    request  = u32 length, u32 milliseconds that the caller waits, Arrow IPC stream
    answer   = u8 status (0 well, 1 error), u32 length, Arrow IPC stream | JSON of an error

Lengths are little-endian.
"""

import asyncio
import struct
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from gimbal.kernel.errors import ErrorReply, GimbalError, Upstream, error_kinds

_ASKED = struct.Struct("<II")
_ANSWERED = struct.Struct("<BI")
WELL, FAILED = 0, 1
KEY = 20
"""Characters of a version's key."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A version that should have a process; a file of this is put into the folder `wanted`."""

    ref: str
    digest: str
    manifest: dict[str, Any]
    files: dict[str, str]
    """Blob digest by path."""


class ProcessState(msgspec.Struct, frozen=True, kw_only=True):
    """How the process of a version is; written by the host, shown by the console."""

    ref: str
    state: str
    """`loading`, `ready`, `restarting` or `refused` (it will not be tried again)."""
    pid: int | None = None
    restarts: int = 0
    error: str = ""


def key(digest: str) -> str:
    """Return the name of a version's files in the run folder; socket paths are short by necessity."""
    return digest.removeprefix("b3:")[:KEY]


def socket_path(folder: Path, digest: str) -> Path:
    """Return the socket of a version's process in the folder of the sockets."""
    return folder / f"{key(digest)}.sock"


def encode(rows: pa.Table) -> bytes:
    """Return a table as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows)
    return sink.getvalue().to_pybytes()


def decode(content: bytes) -> pa.Table:
    """Return the table of an Arrow stream."""
    return pa.ipc.open_stream(pa.py_buffer(content)).read_all()


async def send_request(writer: asyncio.StreamWriter, rows: pa.Table, *, timeout_s: float) -> None:
    """Send rows to a model process, which works on them for no longer than the caller waits."""
    content = encode(rows)
    writer.write(_ASKED.pack(len(content), min(max(1, int(timeout_s * 1000)), 2**32 - 1)) + content)
    await writer.drain()


async def read_request(reader: asyncio.StreamReader) -> tuple[pa.Table, float] | None:
    """Return the rows of the next request and how many seconds its caller waits, or None when the caller has gone."""
    try:
        length, limit_ms = _ASKED.unpack(await reader.readexactly(_ASKED.size))
        return decode(await reader.readexactly(length)), limit_ms / 1000
    except asyncio.IncompleteReadError:
        return None


async def send_answer(writer: asyncio.StreamWriter, answer: pa.Table | GimbalError) -> None:
    """Send predictions or an error."""
    status, content = (FAILED, answer.as_json()) if isinstance(answer, GimbalError) else (WELL, encode(answer))
    writer.write(_ANSWERED.pack(status, len(content)) + content)
    await writer.drain()


async def read_answer(reader: asyncio.StreamReader) -> pa.Table:
    """Return the predictions; raise the error that the process answered with."""
    status, length = _ANSWERED.unpack(await reader.readexactly(_ANSWERED.size))
    content = await reader.readexactly(length)
    if status == WELL:
        return decode(content)
    body = msgspec.json.decode(content, type=ErrorReply).error
    raise error_kinds().get(body.code, Upstream)(body.message, where=body.where, kept=body.kept, todo=body.todo)
