"""Passages into units: the sentences, list items, table rows and code blocks that an extractive answer is made of.

A unit keeps the text that leads into it (the sentence before, the line above a list, the header of a table), because
that often holds the words of the question while the unit holds the answer.
"""

import re
from collections.abc import Iterator

import msgspec

from gimbal.generative.gateway.providers.reading import Passage

_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+(?:\[[ xX]\][ \t]+)?")
_ROW = re.compile(r"[ \t]*\|.*\|[ \t]*")
_RULE = re.compile(r"[ \t]*\|[ \t:|-]+\|[ \t]*")
_CODE_SPAN = re.compile(r"`[^`]*`")
_END = re.compile(r"[.!?](?:[)\"'\]*_]|\s*\[\d+\])*(?=\s+[\"'(\[*_`]*[A-Z0-9`])")
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|cf|vs|etc|approx|resp|incl|no|fig|sec|al|Dr|Mr|Ms|St)|\b[A-Z])\.$")
_MARKUP = re.compile(r"\*\*|__|(?<!\w)\*(?=\S)|(?<=\S)\*(?!\w)")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)\s]*\)")


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """One citable piece of a passage."""

    text: str
    """As it is shown."""
    lead: str
    """What leads into it; scored at a lower weight."""
    passage: int
    """Number of its passage in the reading, from 0."""
    place: int
    """Its place in the passage, from 0."""
    code: bool = False


def units(passage: Passage, number: int) -> list[Unit]:
    """Return the units of one passage, in order."""
    return [
        Unit(text=text, lead=lead, passage=number, place=place, code=code)
        for place, (text, lead, code) in enumerate(_walk(passage.text.split("\n")))
    ]


def _walk(lines: list[str]) -> Iterator[tuple[str, str, bool]]:
    """Yield (text, lead, is code) for each unit."""
    paragraph: list[str] = []
    lead, before, header = "", "", ""
    index = 0
    while index < len(lines):
        line = lines[index]
        plain = bool(line.strip()) and not (_FENCE.match(line) or _ITEM.match(line) or _ROW.fullmatch(line))
        if not plain and paragraph:
            for sentence in sentences(" ".join(paragraph)):
                yield sentence, before, False
                before = lead = sentence
            paragraph = []
        if _FENCE.match(line):
            block, index = _code(lines, index)
            if block:
                yield block, lead, True
            continue
        if _ROW.fullmatch(line):
            cells = _cells(line)
            if index + 1 < len(lines) and _RULE.fullmatch(lines[index + 1]):
                header = " ".join(cells)
            elif not _RULE.fullmatch(line) and any(cells):
                yield _row(cells), f"{header} {lead}".strip(), False
        elif _ITEM.match(line):
            item, index = _item(lines, index)
            for place, sentence in enumerate(sentences(item)):
                yield sentence, (lead if place == 0 else f"{lead} {before}".strip()), False
                before = sentence
            continue
        elif plain:
            paragraph.append(line.strip())
        else:
            header = ""
        index += 1
    for sentence in sentences(" ".join(paragraph)):
        yield sentence, before, False
        before = sentence


def _code(lines: list[str], start: int) -> tuple[str, int]:
    match = _FENCE.match(lines[start])
    fence = match[1] if match else "```"
    end = start + 1
    while end < len(lines) and not lines[end].strip().startswith(fence):
        end += 1
    body = "\n".join(lines[start + 1 : end]).strip("\n")
    language = lines[start].strip().lstrip("`~").strip()
    return (f"```{language}\n{body}\n```" if body.strip() else ""), end + 1


def _item(lines: list[str], start: int) -> tuple[str, int]:
    text = [_ITEM.sub("", lines[start], count=1).strip()]
    end = start + 1
    while end < len(lines) and lines[end].strip():
        line = lines[end]
        if _ITEM.match(line) or _FENCE.match(line) or _ROW.fullmatch(line) or not line.startswith((" ", "\t")):
            break
        text.append(line.strip())
        end += 1
    return " ".join(text), end


def _cells(line: str) -> list[str]:
    inner = line.strip().strip("|").replace("\\|", "\x00")
    return [clean(cell.replace("\x00", "|")) for cell in inner.split("|")]


def _row(cells: list[str]) -> str:
    first, *rest = cells
    told = "; ".join(cell for cell in rest if cell)
    return f"{first}: {told}" if first and told else first or told


def clean(text: str) -> str:
    """Return text without emphasis and link targets; code spans stay as they are."""
    out: list[str] = []
    end = 0
    for span in _CODE_SPAN.finditer(text):
        out += [_MARKUP.sub("", _LINK.sub(r"\1", text[end : span.start()])), span[0]]
        end = span.end()
    out.append(_MARKUP.sub("", _LINK.sub(r"\1", text[end:])))
    return " ".join("".join(out).split())


def sentences(text: str) -> list[str]:
    """Split prose into sentences; code spans, abbreviations and initials do not end one."""
    text = clean(text)
    masked = _CODE_SPAN.sub(lambda span: "`" * len(span[0]), text)
    found: list[str] = []
    start = 0
    for match in _END.finditer(masked):
        end = match.end()
        if match[0].startswith(".") and _ABBREVIATION.search(masked[start : match.start() + 1]):
            continue
        found.append(text[start:end].strip())
        start = end
    joined: list[str] = []
    for sentence in [*found, text[start:].strip()]:
        # "The writer." before what is said of it is a heading in disguise: it belongs to the next sentence.
        if joined and joined[-1].endswith(".") and len(joined[-1].split()) <= 3:
            joined[-1] = f"{joined[-1]} {sentence}".strip()
        elif sentence:
            joined.append(sentence)
    return joined
