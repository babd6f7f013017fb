"""Media and vectors inside spans: they go to the blobs once, and a short reference takes their place.

A reference is text: `gimbal-media:b3:{64 hex digits};type=image/png;size=12345`, with `;numbers=1536` for a vector. It
stands where the base64 stood, or in the place of a whole `data:` address, or of a list of numbers: the message around it
can still be read. Base64 counts as media where the sender names its type or its first bytes do; what is neither stays,
and so does what cannot be decoded.
"""

import binascii
import re
import string
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any, NamedTuple

import msgspec

LEAST = 1024
"""Characters of base64, or of a list of numbers as text, from which on they are moved."""
LEAST_NUMBERS = 128
SCHEME = "gimbal-media:"
_STEP = LEAST // 2
_REFERENCE = re.compile(
    r"gimbal-media:(b3:[0-9a-f]{64});type=([\w.+-]+/[\w.+-]+);size=(\d{1,15})(?:;numbers=(\d{1,15}))?", re.ASCII
)
# Of both alphabets; in JSON a slash may be escaped, and a line may end with `\n`.
_LETTERS = string.ascii_letters + string.digits + "+/-_\\"
_NUMBERS = string.digits + "-+.eE, \r\n\t"
_IN_LETTERS, _IN_NUMBERS = f"[{re.escape(_LETTERS)}]", f"[{re.escape(_NUMBERS)}]"
# Of a run of `LEAST` characters at least one of the pieces of half that length, counted from the start, is whole.
_PIECE = re.compile(f"{_IN_LETTERS}{{{_STEP}}}|{_IN_NUMBERS}{{{_STEP}}}")
_RUN_OF_LETTERS, _RUN_OF_NUMBERS = re.compile(f"{_IN_LETTERS}+={{0,2}}"), re.compile(f"{_IN_NUMBERS}+")
_DATA = re.compile(r"data:([\w.+-]+\\*/[\w.+-]+)?(?:;[\w.+-]+=[\w.+\"\\-]+)*;base64,$", re.ASCII)
_TYPE = re.compile(r'(?:media_?type|mime_?type)\\*"\s*:\s*\\*"([\w.+-]+\\*/[\w.+-]+)', re.IGNORECASE | re.ASCII)
_CLEAN_TYPE = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,60}", re.ASCII)
_ESCAPES = re.compile(r"\\+[nr]|\\+")
_URL_SAFE = str.maketrans("-_", "+/")
# What may follow upon base64 that is whole.
_AFTER = frozenset(["", *"\"'\\`()<>[]{},;|& \r\n\t"])
# How far from base64 its type may be named.
_NEAR = 200
_TYPE_NAMES = ("media_type", "mime_type", "mediaType", "mimeType", "content_type", "contentType")
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"), (b"OggS", "audio/ogg"), (b"fLaC", "audio/flac"), (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"), (b"\xff\xf3", "audio/mpeg"), (b"\x1aE\xdf\xa3", "video/webm"),
)  # fmt: skip
COUNTED = frozenset(media_type for _, media_type in _MAGIC) | {
    "image/webp", "audio/wav", "video/mp4", "application/json", "application/octet-stream",
}  # fmt: skip
"""Types that the counter names; senders may invent any."""
_OCTETS = "application/octet-stream"
_VECTOR = "application/json"
_numbers = msgspec.json.Decoder(list[float])
_json = msgspec.json.Encoder(enc_hook=str)


class Reference(NamedTuple):
    """What stands in the place of media."""

    digest: str
    media_type: str
    size: int
    """Bytes."""
    numbers: int = 0
    """Of a vector."""

    def __str__(self) -> str:
        """Return the text that takes the place."""
        numbers = f";numbers={self.numbers}" if self.numbers else ""
        return f"{SCHEME}{self.digest};type={self.media_type};size={self.size}{numbers}"


Put = Callable[[bytes, str, int], Reference]


def reference_in(text: str) -> Reference | None:
    """Return the reference that a text is; None for any other."""
    found = _REFERENCE.fullmatch(text)
    return Reference(found[1], found[2], int(found[3]), int(found[4] or 0)) if found else None


def references(text: str) -> Iterator[Reference]:
    """Yield the references in a text."""
    for found in _REFERENCE.finditer(text):
        yield Reference(found[1], found[2], int(found[3]), int(found[4] or 0))


def kind_of(media_type: str) -> str:
    """Return `image`, `audio` or `video`, or `file` for any other media type."""
    family = media_type.partition("/")[0]
    return family if family in {"image", "audio", "video"} else "file"


def type_in(address: str) -> str:
    """Return the media type that an address names: a reference, a `data:` address, or Langfuse's token."""
    for start, end in (("data:", ";"), (f"{SCHEME}b3:", ""), ("@@@langfuseMedia:type=", "|")):
        if address.startswith(start):
            if not end:
                found = reference_in(address)
                return found.media_type if found else ""
            return address[len(start) :].partition(end)[0][:100]
    return ""


def any_in(values: dict[str, Any]) -> bool:
    """Tell whether any of some attributes may have something to move; nearly all have not, and this takes little."""
    for value in values.values():
        kind = type(value)
        if kind is str:
            if len(value) >= LEAST and _may_have(value):
                return True
        elif (kind is list or kind is dict) and value and _nested(value):
            return True
    return False


def _may_have(text: str) -> bool:
    return any(map(_PIECE.match, repeat(text), range(0, len(text) - _STEP + 1, _STEP)))


def _nested(value: Any) -> bool:
    kind = type(value)
    if kind is str:
        return len(value) >= LEAST and _may_have(value)
    if kind is dict:
        return any_in(value)
    return kind is list and (_is_vector(value) or any(map(_nested, value)))


def _is_vector(value: list[Any]) -> bool:
    return len(value) >= LEAST_NUMBERS and all(type(item) in {int, float} for item in value)


def moved(value: Any, put: Put, media_type: str = "") -> Any:
    """Return a value with references in the places of media and vectors, lists and maps changed in place.

    `put` keeps what is moved. `media_type` is what a neighbour of the value says of it.
    """
    if isinstance(value, str):
        return _in_text(value, put, media_type) if len(value) >= LEAST else value
    if isinstance(value, dict):
        told = next((held for name in _TYPE_NAMES if isinstance(held := value.get(name), str)), "")
        for name, held in value.items():
            value[name] = moved(held, put, told)
    elif isinstance(value, list):
        if _is_vector(value):
            return str(put(_json.encode(value), _VECTOR, len(value)))
        value[:] = [moved(item, put, media_type) for item in value]
    return value


def _in_text(text: str, put: Put, media_type: str) -> str:
    pieces: list[str] = []
    done = at = 0
    while at <= len(text) - _STEP:
        if not _PIECE.match(text, at):
            at += _STEP
            continue
        vector = _vector(text, at)
        found = vector if vector.content is not None else _media(text, at, media_type)
        at = -(-max(vector.end, found.end, at + 1) // _STEP) * _STEP
        if found.content is not None:
            reference = put(found.content, found.media_type, found.numbers)
            pieces += (text[done : found.start], found.quote, str(reference), found.quote)
            done = found.end
    return "".join([*pieces, text[done:]]) if pieces else text


class _Found(NamedTuple):
    """A part of a text that may be media or a vector."""

    start: int
    end: int
    content: bytes | None = None
    """None for what it is not."""
    media_type: str = ""
    numbers: int = 0
    quote: str = ""
    """What the reference stands in."""


def _begin(text: str, at: int, letters: str) -> int:
    """Return where a run begins that goes on at `at`; less than a step before, or it would have been met there."""
    before = text[max(0, at - _STEP) : at]
    return at - len(before) + len(before.rstrip(letters))


def _vector(text: str, at: int) -> _Found:
    begin = _begin(text, at, _NUMBERS)
    run = _RUN_OF_NUMBERS.match(text, begin)
    end = run.end() if run else begin
    if end - begin < LEAST or text[begin - 1 : begin] != "[" or text[end : end + 1] != "]":
        return _Found(begin, end)
    start, end = begin - 1, end + 1
    content = text[start:end].encode()
    try:
        count = len(_numbers.decode(content))
    except msgspec.DecodeError:
        return _Found(start, end)
    # Alone, or in a text of its own inside JSON, it needs no quotes.
    quote = "" if start == 0 or text[start - 1] == '"' else '"'
    return _Found(start, end, content, _VECTOR, count, quote)


def _media(text: str, at: int, media_type: str) -> _Found:
    begin = _begin(text, at, _LETTERS)
    run = _RUN_OF_LETTERS.match(text, begin)
    if run is None:
        return _Found(begin, begin)
    none = _Found(begin, run.end())
    # A backslash at the end escapes what follows.
    end = begin + len(run[0].rstrip("\\"))
    content = _decoded(text[begin:end]) if end - begin >= LEAST and text[end : end + 1] in _AFTER else None
    if content is None:
        return none
    head = _DATA.search(text, max(0, begin - _NEAR), begin)
    if head is not None:
        return _Found(head.start(), end, content, _clean(head[1] or _magic(content)))
    # It has to be the whole of its text: among words it may be anything.
    if text[begin - 1 : begin] not in {"", '"'} or text[end : end + 1] not in {"", '"', "\\"}:
        return none
    near = _TYPE.search(text, max(0, begin - _NEAR), begin) or _TYPE.search(text, end, end + _NEAR)
    told = _magic(content) or (near[1] if near else media_type)
    return _Found(begin, end, content, _clean(told)) if told else none


def _decoded(run: str) -> bytes | None:
    if "\\" in run:
        run = _ESCAPES.sub("", run)
    bare = run.rstrip("=").translate(_URL_SAFE)
    try:
        return binascii.a2b_base64(bare + "=" * (-len(bare) % 4), strict_mode=True)
    except binascii.Error:
        return None


def _magic(content: bytes) -> str:
    """Return the media type that the first bytes tell; empty for none."""
    for start, media_type in _MAGIC:
        if content.startswith(start):
            return media_type
    if content[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(content[8:12], "")
    return "video/mp4" if content[4:8] == b"ftyp" else ""


def _clean(media_type: str) -> str:
    found = media_type.lower().replace("\\", "")
    return found if _CLEAN_TYPE.fullmatch(found) else _OCTETS
