"""Reads a request as the extractive answerer needs it: the question, and the numbered passages of its context.

The context is what `[1] source — heading` lines number, in any message; `numbered` writes it so. Without such lines, all
of the last user message but the question is one passage without a source.
"""

import re
from collections.abc import Sequence
from typing import Protocol

import msgspec

_MARKER = re.compile(r"\[(\d{1,4})\][ \t]+(\S.*)")
_QUESTION = re.compile(r"(?:\*\*)?(?:question|q|user question|query)(?:\*\*)?[ \t]*:(?:\*\*)?[ \t]*(.*)", re.IGNORECASE)
_SEPARATOR = " — "


class Said(Protocol):
    """One message, as far as it is read here."""

    @property
    def role(self) -> str:
        """system, developer, user, assistant or tool."""
        ...

    @property
    def text(self) -> str:
        """All its text."""
        ...


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """One numbered part of the context."""

    marker: str
    """`[1]`; empty when the context is not numbered."""
    source: str
    heading: str
    text: str


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked, and from what it may be answered."""

    question: str
    passages: tuple[Passage, ...]


def numbered(passages: Sequence[tuple[str, str, str]]) -> str:
    """Return the context text for passages given as (source, heading, text), numbered from 1."""
    blocks: list[str] = []
    for number, (source, heading, text) in enumerate(passages, start=1):
        title = f"{source}{_SEPARATOR}{heading}" if heading else source
        blocks.append(f"[{number}] {' '.join(title.split())}\n{text.strip()}")
    return "\n\n".join(blocks)


def read(messages: Sequence[Said]) -> Reading:
    """Return the question and the passages of a request."""
    users = [message.text for message in messages if message.role == "user"]
    others = [message.text for message in messages if message.role in {"system", "developer", "tool"}]
    last = users[-1] if users else ""
    question, rest = _split_question(last)
    passages: list[Passage] = []
    for text in (*others, *users[:-1], rest):
        passages += _passages(text)
    if not question:
        question, rest = _last_paragraph(rest, has_markers=bool(passages))
    if not passages and rest.strip():
        passages.append(Passage(marker="", source="", heading="", text=rest.strip()))
    return Reading(question=question.strip(), passages=tuple(passages))


def _split_question(text: str) -> tuple[str, str]:
    """Return what follows the last `Question:` line, and what stands before it."""
    lines = text.split("\n")
    for number in range(len(lines) - 1, -1, -1):
        match = _QUESTION.fullmatch(lines[number].strip())
        if match:
            after = "\n".join([match[1], *lines[number + 1 :]]).strip()
            if after:
                return after, "\n".join(lines[:number])
    return "", text


def _last_paragraph(text: str, *, has_markers: bool) -> tuple[str, str]:
    paragraphs = [part for part in re.split(r"\n[ \t]*\n", text.strip()) if part.strip()]
    asking = [part for part in paragraphs if part.rstrip().endswith("?") and not _MARKER.match(part)]
    if asking:
        rest = "\n\n".join(part for part in paragraphs if part is not asking[-1])
        return asking[-1], rest
    if not paragraphs:
        return "", ""
    return (
        ("", text) if has_markers and _MARKER.match(paragraphs[-1]) else (paragraphs[-1], "\n\n".join(paragraphs[:-1]))
    )


def _passages(text: str) -> list[Passage]:
    """Return the numbered passages of a text; numbers must follow one another, so that `[7]` in prose opens none."""
    found: list[Passage] = []
    title, body, number = "", list[str](), 0
    for line in [*text.split("\n"), None]:
        match = _MARKER.fullmatch(line) if line is not None else None
        opens = match is not None and int(match[1]) == number + 1
        if (opens or line is None) and number:
            source, _, heading = title.partition(_SEPARATOR)
            content = "\n".join(body).strip("\n")
            found.append(Passage(marker=f"[{number}]", source=source.strip(), heading=heading.strip(), text=content))
        if opens and match is not None:
            title, body, number = match[2].strip(), [], number + 1
        elif line is not None:
            body.append(line)
    return found
