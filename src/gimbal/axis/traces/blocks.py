"""What went into or out of a span as the trace page shows it: messages with their media, or one block of text or JSON."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from gimbal.axis.traces.media import Reference, kind_of, reference_in, references

Href = Callable[[str], str]
"""The address of a digest."""
# What is small enough stays in its message; other data is no address that a page of ours follows.
_INLINE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]*", re.ASCII)


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """An image, a sound or a file of a block."""

    kind: str
    """`image`, `audio` or `file`."""
    href: str
    label: str
    size: int | None = None


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a tool in a message."""

    id: str = ""
    name: str
    arguments: str
    """JSON on lines of its own, or the text as it came."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A text of a message."""

    kind: str = ""
    """`reasoning`, `refusal`, or empty for what was said."""
    text: str


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One message, or all that there is."""

    role: str = ""
    text: str = ""
    """All texts, what is not said marked in front."""
    said: list[Said] = []
    """The same one by one."""
    json: Any = None
    calls: list[Made] = []
    media: list[Shown] = []
    answers: str = ""
    """Id of the call of a tool of which this is the result."""
    called: str = ""
    """The name of that tool, where the call is among the messages."""

    @property
    def speaker(self) -> str:
        """The role alone."""
        return self.role.partition(" · ")[0]


def paired(rows: list[Block], more: list[Block]) -> tuple[list[Block], list[Block]]:
    """Return what went in and out with the results of tools told of the calls that they answer."""
    names = {call.id: call.name for block in (*rows, *more) for call in block.calls if call.id}

    def told(blocks: list[Block]) -> list[Block]:
        return [
            msgspec.structs.replace(block, called=names[block.answers]) if block.answers in names else block
            for block in blocks
        ]

    return told(rows), told(more)


def readable(text: str, href: Href) -> list[Block]:
    """Return what went in or out as blocks."""
    if not text:
        return []
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return [Block(text=text, said=[Said(text=text)])]
    if isinstance(value, list) and value and all(_is_message(row) for row in value):
        return [_message(row, href) for row in value]
    if isinstance(value, str):
        return [Block(text=value, said=[Said(text=value)], media=_in_text(value, href))]
    if isinstance(value, dict) and (moved := _moved(value, href)):
        return [moved]
    return [Block(json=value, media=_in_text(text, href))]


def _is_message(row: Any) -> bool:
    return isinstance(row, dict) and ("role" in row or "content" in row)


def _message(row: dict[str, Any], href: Href) -> Block:
    content = row.get("content", row.get("parts"))
    texts: list[Said] = []
    media: list[Shown] = []
    rest: list[Any] = []
    for part in content if isinstance(content, list) else [content]:
        said = part.get("text") or part.get("content") if isinstance(part, dict) else part
        shown = _part(part, href) if isinstance(part, dict) and "url" in part else None
        if shown is not None:
            media.append(shown)
        elif isinstance(said, str):
            texts.append(Said(kind=_aside(part), text=said))
        elif part is not None:
            rest.append(part)
    made = row.get("tool_calls")
    calls = [_call(one) for one in made if isinstance(one, dict)] if isinstance(made, list) else []
    if not texts and not calls and not media and not rest:
        others = {key: value for key, value in row.items() if key not in {"role", "content", "name"} and value}
        rest = [others] if others else []
    return Block(
        role=" · ".join(str(row[name]) for name in ("role", "name") if row.get(name)),
        text="\n".join(f"({one.kind}) {one.text}" if one.kind else one.text for one in texts),
        said=texts,
        json=rest if len(rest) > 1 else rest[0] if rest else None,
        calls=calls,
        answers=answers if isinstance(answers := row.get("tool_call_id"), str) else "",
        media=media + (_in_text(msgspec.json.encode(rest).decode(), href) if rest else []),
    )


def _aside(part: Any) -> str:
    """Return what tells that a text is none of the answer."""
    kind = part.get("type") if isinstance(part, dict) else ""
    return kind if kind in ("reasoning", "refusal") else ""


def _call(made: dict[str, Any]) -> Made:
    inner = made.get("function")
    function: dict[str, Any] = inner if isinstance(inner, dict) else made
    arguments = function.get("arguments", "")
    own = made.get("id")
    return Made(
        id=own if isinstance(own, str) else "", name=str(function.get("name", "")), arguments=_on_lines(arguments)
    )


def _on_lines(arguments: Any) -> str:
    """Return arguments of a call as JSON that can be read; a text that is none as it came."""
    if isinstance(arguments, str):
        try:
            arguments = msgspec.json.decode(arguments)
        except msgspec.DecodeError:
            return str(arguments)
    return arguments if isinstance(arguments, str) else msgspec.json.format(msgspec.json.encode(arguments)).decode()


def _part(part: dict[str, Any], href: Href) -> Shown | None:
    """Return what a part of a message shows; None where its address is none that a page may follow."""
    url = part["url"]
    if not isinstance(url, str):
        return None
    name = str(part.get("name") or "")
    found = reference_in(url)
    if found is not None:
        return _shown(found, href, name)
    if _INLINE.fullmatch(url):
        return Shown(kind="image", href=url, label=name or "image")
    # Pages load nothing from elsewhere: an image there is a link.
    if url.startswith(("https://", "http://")):
        return Shown(kind="file", href=url, label=name or url)
    return None


def _shown(found: Reference, href: Href, name: str = "") -> Shown:
    kind = kind_of(found.media_type)
    if found.numbers:
        name = f"{found.numbers} numbers"
    return Shown(
        kind=kind if kind in {"image", "audio"} else "file",
        href=href(found.digest),
        label=name or found.media_type,
        size=found.size,
    )


def _in_text(text: str, href: Href) -> list[Shown]:
    """Return what a text refers to, each once."""
    return [_shown(found, href) for found in dict.fromkeys(references(text))]


def _moved(value: dict[str, Any], href: Href) -> Block | None:
    """Return a value that was too long: its start, and where the whole is."""
    digest, size, start = value.get("blob"), value.get("size"), value.get("start")
    if len(value) != 3 or not isinstance(digest, str) or not isinstance(size, int) or not isinstance(start, str):
        return None
    whole = Shown(kind="file", href=href(digest), label="the whole value", size=size)
    return Block(text=f"{start}…", said=[Said(text=f"{start}…")], media=[whole])
