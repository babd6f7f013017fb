"""The texts of a version, whatever its kind: out of its files by their media types, or out of its manifest.

JSON lines and Parquet have rows, whose texts are compared one by one; plain text and Markdown are documents, in which an
example may stand and whose lines and paragraphs may resemble one. Which types can be read is a registry: `READERS`.
"""

import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from gimbal.axis.assets.model import FileEntry, Version
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.text.words import weight, words_of
from gimbal.kernel.errors import GimbalError

MOST_CHARACTERS = 50_000_000
"""Of one version; what is beyond is told."""
MOST_OF_A_FILE = 16_000_000
"""Bytes of a file that is in memory as a whole: plain text and JSON."""
LONGEST_LINE = 4_000_000
"""Bytes of a line; a longer one is read as several."""
_ENOUGH = 4.0
"""Words from which on a part of something says which whole it is of."""
_NAMES = frozenset({"role", "type"})
"""Keys whose values name what stands beside them, and are no text themselves."""
_NO_TEXT = "it has no column of texts"


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """One text, and where it stands."""

    where: str
    text: str
    part: Literal["whole", "document", "line"] = "whole"
    """`whole`: a row or a cell; `document`: examples may stand in it; `line`: a part of one, which may resemble them."""


class NotRead(Exception):
    """A file that cannot be read; says why."""


Reader = Callable[[Path], Iterable[Passage]]
READERS: dict[str, Reader] = {}
_SUFFIXES: dict[str, str] = {
    ".jsonl": "application/jsonl",
    ".ndjson": "application/jsonl",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
    ".md": "text/markdown",
    ".txt": "text/plain",
    ".csv": "text/csv",
    ".yaml": "text/plain",
}


def leaves(value: Any) -> Iterator[str]:
    """Yield what a value says, in its order: texts and numbers, without the names of fields."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting.extend(reversed([inner for name, inner in one.items() if name not in _NAMES]))
        elif isinstance(one, list | tuple):
            waiting.extend(reversed(one))
        elif one is not None and not isinstance(one, bytes) and str(one).strip():
            yield str(one)


def text_of(value: Any) -> str:
    """Return all that a value says as one text."""
    return "\n".join(leaves(value))


def says_enough(text: str) -> bool:
    """Tell whether a text by itself can be known again: four words, or eight signs of a script without spaces."""
    return weight(words_of(text[:1_000])) >= _ENOUGH


def row_passages(value: Any, where: str) -> Iterator[Passage]:
    """Yield a row's whole text, and those of its parts that can be known again."""
    parts = list(leaves(value))
    if parts:
        yield Passage(where=where, text="\n".join(parts))
    if len(parts) > 1:
        yield from (Passage(where=where, text=part) for part in parts if says_enough(part))


def document_passages(text: str, where: str) -> Iterator[Passage]:
    """Yield a document, and its lines and paragraphs."""
    if not text.strip():
        return
    yield Passage(where=where, text=text, part="document")
    paragraph: list[str] = []
    begun = 0
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        if line.strip():
            begun = begun if paragraph else number
            paragraph.append(line)
            if says_enough(line):
                yield Passage(where=f"{where}:{number}", text=line, part="line")
            continue
        if len(paragraph) > 1:
            yield Passage(where=f"{where}:{begun}", text="\n".join(paragraph), part="line")
        paragraph = []


def lines_of(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, none of them longer than fits memory."""
    with path.open("rb") as file:
        while line := file.readline(LONGEST_LINE):
            yield line


def _json_lines(path: Path) -> Iterator[Passage]:
    for number, line in enumerate(lines_of(path), start=1):
        if not line.strip():
            continue
        try:
            row: Any = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            row = line.decode(errors="replace")
        where = f"line {number}"
        if isinstance(row, dict) and "input" in row:
            # As suites have them: what is asked is in the input, and the rest says how it is judged.
            where = f"{where}, {row['id']}" if isinstance(row.get("id"), str) else where
            row = row["input"]
        yield from row_passages(row, where)


def _json(path: Path) -> Iterator[Passage]:
    if path.stat().st_size > MOST_OF_A_FILE:
        raise NotRead(f"it is too long: JSON of at most {MOST_OF_A_FILE:,} bytes is read, JSON lines of any length")
    try:
        value: Any = msgspec.json.decode(path.read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise NotRead(f"it is no JSON: {str(problem)[:200]}") from None
    rows = value if isinstance(value, list) else [value]
    for number, row in enumerate(rows, start=1):
        yield from row_passages(row, f"item {number}" if len(rows) > 1 else "")


def _text(path: Path) -> Iterator[Passage]:
    with path.open("rb") as file:
        content = file.read(MOST_OF_A_FILE)
        more = bool(file.read(1))
    yield from document_passages(content.decode("utf-8", "replace"), "")
    if more:
        raise NotRead(f"only its first {MOST_OF_A_FILE:,} bytes were compared; it is too long")


def _parquet(path: Path) -> Iterator[Passage]:
    try:
        file = pq.ParquetFile(path, memory_map=True)
        names = [field.name for field in file.schema_arrow if _holds_text(field.type)]
        if not names:
            raise NotRead(_NO_TEXT)
        seen: set[tuple[str, str]] = set()
        begun = 0
        for batch in file.iter_batches(batch_size=4_096, columns=names):
            for name in names:
                for row, value in enumerate(batch.column(name).to_pylist(), start=begun + 1):
                    text = text_of(value)
                    # A column of categories says the same in most rows.
                    if text and (name, text) not in seen:
                        seen.add((name, text))
                        yield from row_passages(value, f"{name}, row {row}")
            begun += batch.num_rows
    except UnicodeDecodeError:
        raise NotRead("a text in it is not UTF-8; what stands before that was compared") from None
    except (pa.ArrowException, OSError, ValueError, OverflowError) as problem:
        raise NotRead(f"it is no Parquet: {str(problem)[:200]}") from None


def _holds_text(kind: pa.DataType) -> bool:
    """Tell whether values of a type have texts in them."""
    if pa.types.is_dictionary(kind):
        return _holds_text(kind.value_type)
    if pa.types.is_nested(kind):
        return any(_holds_text(kind.field(at).type) for at in range(kind.num_fields))
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


READERS.update(
    {
        "application/jsonl": _json_lines,
        "application/x-ndjson": _json_lines,
        "application/json": _json,
        "application/vnd.apache.parquet": _parquet,
        "text/markdown": _text,
        "text/plain": _text,
        "text/csv": _text,
    }
)


def reader_of(entry: FileEntry) -> Reader | None:
    """Return what reads a file, by its media type, or by its name where that says nothing."""
    kind = entry.media_type.partition(";")[0].strip().lower()
    by_name = _SUFFIXES.get(Path(entry.path).suffix.lower(), "")
    return READERS.get(kind) or READERS.get(by_name)


def of_manifest(version: Version) -> list[Passage]:
    """Return what the manifest of a version without files says: a prompt that another tool registered has it there."""
    said = version.manifest.get("messages", version.manifest)
    return [passage for part in leaves(said) for passage in document_passages(part, "manifest")]


@contextlib.asynccontextmanager
async def local(blobs: Blobs, entry: FileEntry) -> AsyncIterator[Path]:
    """Give a file of a version on this machine for a while."""
    path = blobs.local_path(entry.digest)
    if path is not None:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="contamination-") as folder:
        copy = Path(folder) / "file"
        await blobs.save(entry.digest, copy)
        yield copy


def read_file(reader: Reader, path: Path, name: str, room: int) -> tuple[list[Passage], str]:
    """Return the texts of a file within so many characters, and why it is not whole; empty where it is."""
    found: list[Passage] = []
    try:
        for passage in reader(path):
            room -= len(passage.text)
            if room < 0:
                return found, f"only the first {len(found):,} texts of it were compared; it is too long"
            place = f", {passage.where}" if passage.where and not passage.where.startswith(":") else passage.where
            found.append(msgspec.structs.replace(passage, where=f"{name}{place}"))
    except (NotRead, GimbalError) as problem:
        return found, str(problem)
    return found, ""
