"""Gemini's parts ↔ parts in normal form.

A signature of thoughts stands on whatever part follows the thoughts there, often on the call of a tool; in normal form it is
a Thinking before that part.
"""

import re
from collections.abc import Sequence
from itertools import takewhile
from typing import Any, TypeVar, cast

import msgspec

from gimbal.generative.gateway.conversation import (
    AnyPart,
    Audio,
    File,
    Image,
    Json,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolUse,
)
from gimbal.generative.gateway.wire.answers import arguments
from gimbal.generative.gateway.wire.fields import Table, bad
from gimbal.generative.gateway.wire.seals import GEMINI, claimed, opened, unpacked

_encode = msgspec.json.Encoder().encode
_P = TypeVar("_P")
_KINDS = ("text", "inlineData", "fileData", "functionCall", "functionResponse")
_SOUNDS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "x-aac": "aac", "x-flac": "flac"}
SOUND_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav"}


def camel(value: Any, where: str = "") -> Any:
    """Return an object with its own names in Gemini's first spelling; they accept snake_case as well."""
    if not isinstance(value, dict):
        return value
    given = cast("Json", value)
    found = {_camel(name): row for name, row in given.items()}
    if len(found) != len(given):
        names = [_camel(name) for name in given]
        twin = next(name for name in names if names.count(name) > 1)
        raise bad(f"The field {twin!r} is there in two spellings.", f"{where}.{twin}".lstrip("."), "Send it once.")
    return found


def _camel(name: str) -> str:
    if "_" not in name:
        return name
    first, *rest = name.lstrip("_").split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def tables(holder: Table, name: str) -> list[Table]:
    """Return an array of objects, each with its names in the first spelling."""
    rows = holder.rows(name)
    places = [f"{holder.at(name)}[{number}]" for number in range(len(rows))]
    return [Table(camel(row, place), place, holder.extras) for row, place in zip(rows, places, strict=True)]


def table(holder: Table, name: str) -> Table | None:
    """Return an object with its names in the first spelling."""
    value, place = holder.object(name), holder.at(name)
    return None if value is None else Table(camel(value, place), place, holder.extras)


class Calls:
    """The calls of tools that have no answer yet: without ids, an answer goes to the first call of its name."""

    def __init__(self) -> None:
        self._made = 0
        self._open: list[tuple[str, str]] = []

    def made(self, given: str, name: str) -> str:
        """Return the id of a call."""
        self._made += 1
        found = given or f"call_{self._made}"
        self._open.append((name, found))
        return found

    def answered(self, given: str, name: str) -> str:
        """Return the id of the call that an answer belongs to."""
        for place, (called, found) in enumerate(self._open):
            if found == given or (not given and called == name):
                del self._open[place]
                return found
        return given or f"call_{name}"


def decode(part: Table, calls: Calls) -> list[AnyPart]:
    """Return what a part says; nothing for one without a place in the normal form, which is told among the extras."""
    kinds = [kind for kind in _KINDS if part.has(kind)]
    seal, hidden = unpacked(part.text("thoughtSignature"))
    seal = claimed(GEMINI, seal)
    sealed = Thinking(redacted=seal) if hidden else Thinking(signature=seal)
    thought = bool(part.flag("thought"))
    if len(kinds) != 1:
        if seal and not kinds and not part.left():
            return [sealed]
        part.whole()
        return []
    found = _READ[kinds[0]](part, calls)
    if found is None:
        part.whole()
        return []
    part.close()
    if thought and isinstance(found, Text):
        if hidden:
            return [sealed, Thinking(text=found.text)] if found.text else [sealed]
        return [Thinking(text=found.text, signature=seal)]
    if not seal:
        # The last event of a stream has an empty text, which says nothing.
        return [] if isinstance(found, Text) and not found.text else [found]
    return [sealed, found]


def paired(parts: Sequence[_P]) -> list[_P]:
    """Return parts of which each signature is with the thought that ends right before it.

    One of Gemini's own stays alone where `encode` would else put it onto another part than the one that had it.
    """
    found: list[_P] = []
    for place, part in enumerate(parts):
        before = found[-1] if found else None
        if (
            isinstance(part, Thinking)
            and isinstance(before, Thinking)
            and not (before.signature or before.redacted or part.redacted)
            and (part.text or _finds_back(part, parts[place + 1 :]))
        ):
            found[-1] = Thinking(text=before.text + part.text, signature=part.signature)  # pyright: ignore[reportCallIssue, reportArgumentType]
        else:
            found.append(part)
    return found


def _finds_back(signed: Thinking, after: Sequence[object]) -> bool:
    """Tell whether the signature of a thought stands on the call that comes first after it, or on the next part."""
    if opened(signed.signature)[0] != GEMINI:
        return True
    following = list(takewhile(lambda part: not isinstance(part, Thinking), after))
    calls = [isinstance(part, ToolUse | ToolCall) for part in following]
    return calls[:1] == [True] or not any(calls)


def sign(parts: list[Json], begin: int, signature: str, *, exactly: bool) -> None:
    """Put a signature onto one of the parts from `begin` on: the next, or `exactly` not said the first call of a tool."""
    if not signature:
        return
    if begin == len(parts):
        parts.append({"text": ""})
    rows = parts[begin:]
    called = None if exactly else next((row for row in rows if "functionCall" in row), None)
    (called or rows[0])["thoughtSignature"] = signature


def _text(part: Table, _: Calls) -> Text:
    return Text(text=part.text("text"))


def _inline(part: Table, _: Calls) -> AnyPart | None:
    blob = table(part, "inlineData")
    if blob is None:
        return None
    kind = blob.required("mimeType").lower()
    family, name = kind.partition("/")[::2]
    data, shown = blob.required("data"), blob.text("displayName")
    blob.close()
    # Their JSON may have base64 in either alphabet.
    data = data.translate(_ALPHABET)
    if family == "image":
        return Image(data=data, media_type=kind)
    if family == "audio":
        return Audio(data=data, format=_SOUNDS.get(name, name))
    return File(data=data, media_type=kind, name=shown)


def generation_of(model: str) -> int:
    """Return which generation of Gemini a model is; 0 where its name does not tell."""
    match = _GENERATION.search(model)
    return int(match[1]) if match else 0


_GENERATION = re.compile(r"gemini-(\d{1,3})")
_ALPHABET = str.maketrans("-_", "+/")


def _by_address(part: Table, _: Calls) -> AnyPart | None:
    file = table(part, "fileData")
    if file is None:
        return None
    url, kind, name = file.required("fileUri"), file.text("mimeType"), file.text("displayName")
    file.close()
    return Image(url=url, media_type=kind) if kind.startswith("image/") else File(url=url, media_type=kind, name=name)


def _call(part: Table, calls: Calls) -> ToolUse | None:
    call = table(part, "functionCall")
    if call is None:
        return None
    name = call.required("name")
    use = ToolUse(
        id=calls.made(call.text("id"), name),
        name=name,
        arguments=_encode(call.object("args") or {}).decode(),
    )
    call.close()
    return use


def _response(part: Table, calls: Calls) -> ToolResult | None:
    said = table(part, "functionResponse")
    if said is None:
        return None
    name = said.required("name")
    parts: list[AnyPart] = []
    answer = said.object("response")
    words, error = _words(answer or {})
    if answer is not None:
        parts.append(Text(text=words))
    for inner in tables(said, "parts"):
        parts += decode(inner, calls)
    result = ToolResult(id=calls.answered(said.text("id"), name), name=name, parts=tuple(parts), error=error)
    said.close()
    return result


def _words(answer: Json) -> tuple[str, bool]:
    """Return what a tool said, and whether it failed: `output` and `error` are the names that their reference gives."""
    if answer.keys() == {"output"} and isinstance(answer["output"], str):
        return answer["output"], False
    if answer.keys() == {"error"}:
        error = answer["error"]
        return error if isinstance(error, str) else _encode(error).decode(), True
    return _encode(answer).decode(), False


def answer_of(result: ToolResult, where: str) -> Json:
    """Return what a tool said as the object that Gemini wants."""
    words = "\n".join(part.text for part in result.parts if isinstance(part, Text))
    if any(not isinstance(part, Text | Image | File) for part in result.parts):
        raise bad("A tool answered with a part of a kind that no tool answers with.", where)
    if result.error:
        return {"error": _value(words)}
    said = arguments(words) if words.lstrip().startswith("{") else None
    return {"output": words} if said is None else said


def _value(words: str) -> Any:
    try:
        value = msgspec.json.decode(words)
    except (ValueError, RecursionError):
        return words
    return value if isinstance(value, dict | list) else words  # pyright: ignore[reportUnknownVariableType]


_READ: dict[str, Any] = {
    "text": _text,
    "inlineData": _inline,
    "fileData": _by_address,
    "functionCall": _call,
    "functionResponse": _response,
}
