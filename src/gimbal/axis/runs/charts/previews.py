"""What an artifact shows of itself on a page: told by its first bytes, never by its name alone, and never in full.

Images and sounds go to the browser as files of the type that they are. Tables, JSON and text are read here, each up to a
limit, so that a file of many gigabytes, or one made to unpack into as much, costs no more than another.
"""

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from typing import Any, Literal

import msgspec
import pyarrow.parquet as pq

from gimbal.axis.runs.model import Artifact
from gimbal.axis.runs.service import Runs
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, GimbalError
from gimbal.kernel.http import Download

Shape = Literal["image", "audio", "table", "json", "text", "none"]
TEXT_BYTES = 256 * 1024
PARQUET_BYTES = 32 * 1024 * 1024
UNPACKED_BYTES = 128 * 1024 * 1024
ROWS = 100
_COLUMNS = 60
_CELL = 200
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"), (b"OggS", "audio/ogg"), (b"fLaC", "audio/flac"), (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"), (b"\xff\xf3", "audio/mpeg"), (b"\xff\xf2", "audio/mpeg"),
)  # fmt: skip


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown of a file."""

    shape: Shape
    text: str = ""
    """For `json` and `text`."""
    names: list[str] = []
    """Columns of a `table`."""
    rows: list[list[str]] = []
    cut: bool = False
    """Whether there is more than is shown."""
    why: str = ""
    """Why nothing is shown."""


def media_type_of(head: bytes) -> str | None:
    """Return the type of an image or a sound by its first bytes; None for everything else."""
    for magic, media_type in _MAGIC:
        if head.startswith(magic):
            return media_type
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(head[8:12])
    return "audio/mp4" if head[4:8] == b"ftyp" and head[8:11] == b"M4A" else None


async def media(ctx: Context, run_id: str, path: str) -> Download:
    """Return a file as the image or sound that it is; raise BadInput when it is neither."""
    found = await ctx.get(Runs).artifact(ctx, run_id, path)
    chunks = aiter(found.chunks)
    head = await _head(chunks, 16)
    media_type = media_type_of(head)
    if media_type is None:
        raise BadInput(f"{path[:80]!r} is neither an image nor a sound.", where="path", todo="Download it instead.")
    return Download(chunks=_joined(head, chunks), media_type=media_type, filename=found.filename, size=found.size)


async def preview(ctx: Context, run_id: str, artifact: Artifact) -> Preview:
    """Return what a page shows of one file."""
    limit = PARQUET_BYTES if artifact.path.endswith((".parquet", ".pq")) else TEXT_BYTES
    found = await ctx.get(Runs).artifact(ctx, run_id, artifact.path)
    raw = await _head(aiter(found.chunks), limit + 1)
    if not raw:
        return Preview(shape="none", why="The file is empty.")
    media_type = media_type_of(raw[:16])
    if media_type is not None:
        return Preview(shape="image" if media_type.startswith("image/") else "audio")
    if raw[:4] == b"PAR1":
        return await _parquet(raw)
    return await asyncio.to_thread(_words, raw[:TEXT_BYTES], artifact.path.lower(), len(raw) > TEXT_BYTES)


async def text(ctx: Context, run_id: str, path: str) -> str:
    """Return the beginning of a text file, for a comparison; empty where there is no such file or it is no text."""
    try:
        found = await ctx.get(Runs).artifact(ctx, run_id, path)
    except GimbalError:
        return ""
    raw = await _head(aiter(found.chunks), TEXT_BYTES)
    return "" if b"\0" in raw else raw.decode(errors="replace")


async def _head(chunks: AsyncIterator[bytes], most: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size >= most:
            break
    return b"".join(parts)


async def _joined(head: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for chunk in rest:
        yield chunk


def _words(raw: bytes, path: str, cut: bool) -> Preview:
    if b"\0" in raw:
        return Preview(shape="none", why="This is no text, image, sound or table that can be shown.")
    words = raw.decode(errors="replace")
    if path.endswith((".csv", ".tsv")):
        return _separated(words, "\t" if path.endswith(".tsv") else ",", cut)
    if path.endswith(".json") and not cut:
        try:
            pretty = msgspec.json.format(raw, indent=2).decode()
        except (msgspec.DecodeError, RecursionError):
            return Preview(shape="text", text=words)
        return Preview(shape="json", text=pretty[: 2 * TEXT_BYTES], cut=len(pretty) > 2 * TEXT_BYTES)
    return Preview(shape="text", text=words, cut=cut)


def _separated(words: str, delimiter: str, cut: bool) -> Preview:
    if cut:
        # The last line may be half of one.
        words = words.rpartition("\n")[0]
    found: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(words), delimiter=delimiter):
            found.append([cell[:_CELL] for cell in row[:_COLUMNS]])
            if len(found) > ROWS + 1:
                break
    except csv.Error:
        return Preview(shape="text", text=words, cut=cut)
    if not found:
        return Preview(shape="text", text=words, cut=cut)
    names, rows = found[0], found[1 : ROWS + 1]
    even = [(row + [""] * len(names))[: len(names)] for row in rows]
    return Preview(shape="table", names=names, rows=even, cut=cut or len(found) > ROWS + 1)


async def _parquet(raw: bytes) -> Preview:
    if len(raw) > PARQUET_BYTES:
        return Preview(shape="none", why=f"A Parquet file is shown up to {PARQUET_BYTES // 1024**2} MiB.")
    try:
        return await asyncio.to_thread(_first_rows, raw)
    except Exception as problem:  # noqa: BLE001 - a file that anyone may have made: whatever is wrong with it is told
        return Preview(shape="none", why=f"The Parquet file cannot be read: {str(problem)[:200]}")


def _first_rows(raw: bytes) -> Preview:
    file = pq.ParquetFile(io.BytesIO(raw))
    names: list[str] = file.schema_arrow.names[:_COLUMNS]
    count = file.metadata.num_rows
    if not file.metadata.num_row_groups:
        return Preview(shape="table", names=names)
    group = file.metadata.row_group(0)
    # What it says of its size unpacked is checked before any of it is unpacked.
    if group.total_byte_size > UNPACKED_BYTES:
        why = f"Its first part unpacks into {group.total_byte_size // 1024**2} MiB; that is not done for a page."
        return Preview(shape="none", why=why)
    batch = next(file.iter_batches(batch_size=ROWS, row_groups=[0], columns=names, use_threads=False), None)
    rows: list[dict[str, Any]] = batch.to_pylist() if batch is not None else []
    cells = [["" if row[name] is None else str(row[name])[:_CELL] for name in names] for row in rows]
    return Preview(shape="table", names=names, rows=cells, cut=count > len(cells))
