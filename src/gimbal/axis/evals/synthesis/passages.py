"""Passages: those that were given, or the texts of a version, cut where they are long and spread where they are many."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from gimbal.axis.assets.model import Version
from gimbal.axis.evals.contaminating.reading import (
    MOST_CHARACTERS,
    leaves,
    lines_of,
    local,
    of_manifest,
    read_file,
    reader_of,
    says_enough,
    text_of,
)
from gimbal.axis.evals.model import Example
from gimbal.axis.evals.suites import Suites
from gimbal.axis.evals.synthesis.model import Passage
from gimbal.engines.storage.blobs import Blobs, digest_of
from gimbal.engines.text.near import exact_key
from gimbal.kernel.context import Context

LONGEST = 6_000
"""Characters of a passage; longer texts are cut at their paragraphs."""
_TEXT_FIELDS = ("text", "content", "passage")
_LONGEST_ID = 200
_JSON_LINES = frozenset({".jsonl", ".ndjson"})


async def of_version(ctx: Context, version: Version) -> list[Passage]:
    """Return the passages of a version: rows with a text, examples as seeds, or documents in pieces."""
    if version.kind == "suite":
        return [_seed(example) for example in await ctx.get(Suites).examples(version)]
    found: list[Passage] = []
    for entry in version.files:
        reader = reader_of(entry)
        if reader is None:
            continue
        async with local(ctx.get(Blobs), entry) as path:
            if Path(entry.path).suffix in _JSON_LINES:
                found += await asyncio.to_thread(lambda at=path, name=entry.path: list(_rows(at, name)))
                continue
            held, _ = await asyncio.to_thread(read_file, reader, path, entry.path, MOST_CHARACTERS)
        # A row's parts are in its whole, and a document's lines in it.
        texts = {one.where: one.text for one in reversed(held) if one.part != "line"}
        found += [piece for where, text in reversed(texts.items()) for piece in pieces(where, text)]
    if not version.files:
        texts = [one.text for one in of_manifest(version) if one.part == "document"]
        found += [piece for at, text in enumerate(texts, start=1) for piece in pieces(f"manifest {at}", text)]
    return found


def _seed(example: Example) -> Passage:
    text = text_of([example.input, example.expected])
    return Passage(id=example.id, text=text, cluster=example.cluster or "")


def _rows(path: Path, name: str) -> Iterator[Passage]:
    """Yield the rows of JSON lines: of one with a field of text that, by its id and source; of others all that they say."""
    room = MOST_CHARACTERS
    for number, line in enumerate(lines_of(path), start=1):
        try:
            row: Any = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        fields: dict[str, Any] = row if isinstance(row, dict) else {}
        text = next((fields[key] for key in _TEXT_FIELDS if isinstance(fields.get(key), str)), None)
        id_, source = fields.get("id"), fields.get("source")
        known = id_ if isinstance(id_, str) and id_ else f"{name}, line {number}"
        of = source if isinstance(source, str) else ""
        said = text if text is not None else "\n".join(leaves(row))
        room -= len(said)
        if room < 0:
            return
        for piece in pieces(known, said):
            yield msgspec.structs.replace(piece, cluster=(of or piece.cluster)[:_LONGEST_ID])


def pieces(name: str, text: str) -> Iterator[Passage]:
    """Yield a text in passages, cut between paragraphs, lines or words; those of one text share a cluster."""
    cut = list(_cut(text))
    for number, piece in enumerate(cut, start=1):
        id_ = name if len(cut) == 1 else f"{name[: _LONGEST_ID - 8]}#{number}"
        yield Passage(id=id_[:_LONGEST_ID], text=piece, cluster=name[:_LONGEST_ID])


def _cut(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = start + LONGEST
        if end < len(text):
            # Not before the middle, so that many short paragraphs do not make many short passages.
            middle = start + LONGEST // 2
            found = (text.rfind(mark, middle, end) + len(mark) for mark in ("\n\n", "\n", " "))
            end = next((at for at in found if at > middle), end)
        if piece := text[start:end].strip():
            yield piece
        start = end


def chosen(passages: Sequence[Passage], most: int) -> tuple[list[Passage], int]:
    """Return the passages that are asked about, and how many there were once long ones were cut.

    They are long enough to ask, each text once, spread evenly over all.
    """
    seen: set[str] = set()
    found: list[Passage] = []
    held = 0
    for one in _short_enough(passages):
        held += 1
        key = exact_key(one.text)
        if key not in seen and says_enough(one.text):
            seen.add(key)
            found.append(one)
    if len(found) <= most:
        return found, held
    return [found[at * len(found) // most] for at in range(most)], held


def _short_enough(passages: Iterable[Passage]) -> Iterator[Passage]:
    for one in passages:
        if len(one.text) <= LONGEST:
            yield one
            continue
        for piece in pieces(one.id, one.text):
            yield msgspec.structs.replace(piece, cluster=one.cluster or one.id)


def passage_digest(passage: Passage) -> str:
    """Return what names the text of a passage."""
    return digest_of(passage.text.encode("utf-8", "surrogatepass"))
