"""Documents into passages, along the lines that markdown draws: headings, paragraphs, lists, tables, code.

A passage never crosses a heading and carries the headings above it as context. Whole blocks are packed up to the size;
a block that is larger alone is cut at lines, then sentences, then tokens. Nothing is left out: every line that is not
blank and not a heading is in at least one passage (a heading without text of its own becomes a passage itself).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import blake3
import msgspec

from gimbal.generative.knowledge.analysis import count_tokens, split_tokens
from gimbal.generative.knowledge.model import Chunk, ChunkSetting, Document

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*")
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+")
_SENTENCE_END = re.compile(r"(?<=[.!?])[)\"'\]*_]*(\s+)(?=[\"'(\[*_`]*[A-Z0-9])")


class _Block(msgspec.Struct, frozen=True):
    """Lines that belong together, and what stands between this block and the one before."""

    text: str
    tokens: int
    glue: str


class _Section(msgspec.Struct):
    """What stands under one heading."""

    heading: str
    lines: list[str]


def title_of(parts: Sequence[Document]) -> str:
    """Return the first title given for a document, else its first heading, else its source."""
    given = (part.title for part in parts if part.title)
    found = (heading for part in parts for heading in _headings(part.text) if heading)
    return next(given, None) or next(found, None) or parts[0].source


def by_source(documents: Iterable[Document]) -> list[list[Document]]:
    """Return the documents grouped by source, sorted; the parts of one keep their order."""
    ordered = sorted(documents, key=lambda document: document.source)
    return [list(parts) for _, parts in groupby(ordered, key=lambda document: document.source)]


def chunk_documents(documents: list[Document], setting: ChunkSetting) -> list[Chunk]:
    """Return the passages of all documents, sorted by source; parts with the same source stay in the given order."""
    chunks: list[Chunk] = []
    for parts in by_source(documents):
        title, rows = title_of(parts), list[Chunk]()
        for part in parts:
            rows += _chunk(part, title, setting, first=len(rows))
        chunks += rows
    return chunks


def _chunk(document: Document, title: str, setting: ChunkSetting, first: int) -> Iterator[Chunk]:
    position = first
    for section in _sections(document.text):
        for text in _pack(section, setting):
            yield Chunk(
                id=chunk_id(document.source, section.heading, text),
                source=document.source,
                title=title,
                heading=section.heading,
                text=text,
                position=position,
                tokens=count_tokens(text),
            )
            position += 1


def chunk_id(source: str, heading: str, text: str) -> str:
    """Return the content address of a passage."""
    return "b3:" + blake3.blake3(f"{source}\x00{heading}\x00{text}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _headings(text: str) -> Iterator[str]:
    fence = ""
    for line in text.splitlines():
        fence, in_code = _fenced(line, fence)
        match = None if in_code else _HEADING.fullmatch(line)
        if match:
            yield (match[2] or "").strip()


def _fenced(line: str, fence: str) -> tuple[str, bool]:
    """Follow code fences: return the fence that is open after `line`, and whether `line` belongs to code."""
    match = _FENCE.match(line)
    if fence:
        closes = match is not None and match[1].startswith(fence) and not line.strip(" \t" + fence[0])
        return ("" if closes else fence), True
    return (match[1], True) if match else ("", False)


def _sections(text: str) -> list[_Section]:
    path: list[tuple[int, str]] = []
    sections = [_Section("", [])]
    fence = ""
    for line in text.splitlines():
        fence, in_code = _fenced(line, fence)
        match = None if in_code else _HEADING.fullmatch(line)
        if match is None:
            sections[-1].lines.append(line)
            continue
        level = len(match[1])
        path = [(depth, name) for depth, name in path if depth < level]
        path.append((level, (match[2] or "").strip()))
        sections.append(_Section(" > ".join(name for _, name in path if name), []))
    for number, section in enumerate(sections):
        empty = not any(line.strip() for line in section.lines)
        parent_of_next = number + 1 < len(sections) and sections[number + 1].heading.startswith(section.heading + " > ")
        if empty and section.heading and not parent_of_next:
            section.lines = [section.heading.rpartition(" > ")[2]]
    return sections


def _blocks(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Yield (text, glue): paragraphs, list items, and fenced code as one block each."""
    current: list[str] = []
    glue, fence = "\n", ""
    for line in lines:
        was_open = bool(fence)
        fence, in_code = _fenced(line, fence)
        starts = (in_code and not was_open) or (not in_code and _ITEM.match(line) is not None)
        if current and (starts or (not line.strip() and not in_code)):
            yield "\n".join(current), glue
            current, glue = [], "\n"
        if line.strip() or in_code:
            current.append(line.rstrip())
        elif not current:
            glue = "\n\n"
        if was_open and not fence:
            yield "\n".join(current), glue
            current, glue = [], "\n"
    if any(line.strip() for line in current):
        yield "\n".join(current), glue


def _pack(section: _Section, setting: ChunkSetting) -> Iterator[str]:
    """Fill passages with whole blocks; the tail of one may open the next."""
    pieces = [piece for text, glue in _blocks(section.lines) for piece in _fit(text, glue, setting.size)]
    pending: list[_Block] = []
    fresh = False
    for piece in pieces:
        if fresh and sum(p.tokens for p in pending) + piece.tokens > setting.size:
            yield _join(pending)
            pending = _tail(pending, min(setting.overlap, setting.size - piece.tokens))
        pending.append(piece)
        fresh = True
    if fresh:
        yield _join(pending)


def _join(blocks: list[_Block]) -> str:
    return "".join((block.glue if n else "") + block.text for n, block in enumerate(blocks)).strip("\n")


def _tail(blocks: list[_Block], room: int) -> list[_Block]:
    """Return the last blocks that fit into `room` tokens, never all of them."""
    kept: list[_Block] = []
    for block in reversed(blocks[1:]):
        room -= block.tokens
        if room < 0:
            break
        kept.insert(0, block)
    return kept


def _sentences(text: str) -> list[str]:
    found: list[str] = []
    start = 0
    for match in _SENTENCE_END.finditer(text):
        found.append(text[start : match.start(1)])
        start = match.end()
    return [sentence for sentence in [*found, text[start:]] if sentence.strip()]


def _fit(text: str, glue: str, size: int) -> Iterator[_Block]:
    """Cut one block so that no piece has more than `size` tokens: at lines, then sentences, then tokens."""
    tokens = count_tokens(text)
    if tokens <= size:
        yield _Block(text, tokens, glue)
        return
    lines = text.split("\n")
    # Code and tables are cut at lines; prose at sentences, which soft line breaks do not end.
    by_line = _FENCE.match(text) or all(line.lstrip().startswith("|") for line in lines)
    sentences = [] if by_line else _sentences(text)
    if len(sentences) > 1:
        for number, sentence in enumerate(sentences):
            yield from _fit(sentence, glue if number == 0 else " ", size)
        return
    if len(lines) > 1:
        for number, line in enumerate(lines):
            if line.strip():
                yield from _fit(line, glue if number == 0 else "\n", size)
        return
    pieces = split_tokens(text)
    for start in range(0, len(pieces), size):
        part = "".join(pieces[start : start + size])
        yield _Block(part, count_tokens(part), glue if start == 0 else "")
