"""Images, sounds, files and vectors go to the blobs once; the message around them can be read, and nothing else is touched."""

import base64
import json
import random
import string
from typing import Any

import pytest
from tests.axis.traces import wire
from tests.axis.traces.test_ingest_limits import counted

from gimbal.axis.traces import media
from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.media import Reference, reference_in, references
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.blobs import Blobs, digest_of
from gimbal.kernel.context import Context
from gimbal.kernel.counters import Counters

_chance = random.Random(3)
PNG = b"\x89PNG\r\n\x1a\n" + _chance.randbytes(5000)
JPEG = b"\xff\xd8\xff\xe0" + _chance.randbytes(3001)
WAV = b"RIFF\x00\x00\x00\x00WAVEfmt " + _chance.randbytes(2002)
BARE = _chance.randbytes(3000)
"""Bytes whose beginning tells nothing."""


def text_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


def url_of(content: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{text_of(content)}"


def reference(content: bytes, media_type: str) -> str:
    return f"gimbal-media:{digest_of(content)};type={media_type};size={len(content)}"


async def stored(traces: Traces, here: Context, attributes: dict[str, Any]) -> Span:
    """Take one span in and return it as it is stored."""
    trace = wire.trace_id()
    assert await ingest(here, wire.request(wire.chat(trace, 1, attributes=attributes))) == []
    return (await traces.get(here, trace)).spans[0]


IN_URL = [
    {"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": "$"}}]}
]
SHAPES: dict[str, tuple[Any, bytes, str, str]] = {
    "openai image": (IN_URL, PNG, url_of(PNG, "image/png"), "image/png"),
    "openai audio": (
        [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "$", "format": "wav"}}]}],
        WAV, text_of(WAV), "audio/wav",
    ),
    "openai file": (
        [{"role": "user", "content": [{"type": "file", "file": {"file_data": "$", "filename": "a.bin"}}]}],
        BARE, url_of(BARE, "application/x-own"), "application/x-own",
    ),
    "anthropic": (
        [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/x-odd", "data": "$"}}]}],
        BARE, text_of(BARE), "image/x-odd",
    ),
    "genai blob": (
        [{"role": "user", "parts": [{"type": "blob", "modality": "image", "mime_type": "image/jpeg", "content": "$"}]}],
        JPEG, text_of(JPEG), "image/jpeg",
    ),
    "gemini": (
        [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/heic", "data": "$"}}]}],
        BARE, base64.urlsafe_b64encode(BARE).decode(), "image/heic",
    ),
    "ai sdk": (
        [{"role": "user", "content": [{"type": "file", "mediaType": "application/x-own", "data": "$"}]}],
        BARE, text_of(BARE).rstrip("="), "application/x-own",
    ),
}  # fmt: skip


def filled(shape: Any, text: str) -> Any:
    return json.loads(json.dumps(shape).replace('"$"', json.dumps(text)))


@pytest.mark.parametrize("form", ["text", "values", "spaced", "slashes", "twice"])
@pytest.mark.parametrize("name", SHAPES)
async def test_media_of_each_convention_is_a_reference(
    traces: Traces, here: Context, blobs: Blobs, name: str, form: str
) -> None:
    """As JSON text, as values, in JSON inside JSON; what stands around it is as it was, and the bytes can be had back."""
    shape, content, given, media_type = SHAPES[name]
    sent, expected = filled(shape, given), filled(shape, reference(content, media_type))
    written = {
        "text": lambda: json.dumps(sent, separators=(",", ":")),
        "values": lambda: sent,
        "spaced": lambda: json.dumps(sent, indent=2),
        "slashes": lambda: json.dumps(sent).replace("/", "\\/"),
        "twice": lambda: json.dumps({"inner": json.dumps(sent)}),
    }[form]()
    span = await stored(traces, here, {"gen_ai.input.messages": written})

    held = span.attributes["gen_ai.input.messages"]
    read = held if form == "values" else json.loads(held)
    assert (json.loads(read["inner"]) if form == "twice" else read) == expected
    assert await blobs.get(digest_of(content)) == content
    assert span.attributes["gimbal.ingest"] == {"media": 1, "payloads": {digest_of(content): media_type}}
    assert not span.truncated
    if form != "twice":
        (part,) = [part for part in json.loads(span.input)[0]["content"] if part["type"] != "text"]
        assert (part["url"], part.get("media_type")) == (
            reference(content, media_type),
            part.get("media_type") or media_type,
        )
        assert part["type"] == (
            "image" if media_type.startswith("image/") else "audio" if name == "openai audio" else "file"
        )


async def test_a_message_with_a_large_image_stays_readable(traces: Traces, here: Context, counters: Counters) -> None:
    """200 KB would have sent the whole attribute to the blobs; the text is there, and nothing is truncated."""
    big = b"\x89PNG\r\n\x1a\n" + _chance.randbytes(200_000)
    span = await stored(traces, here, {"gen_ai.input.messages": json.dumps(filled(IN_URL, url_of(big, "image/png")))})
    assert json.loads(span.input) == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "See"},
                {"type": "image", "url": reference(big, "image/png"), "media_type": "image/png"},
            ],
        }
    ]
    assert not span.truncated
    assert counted(counters)["media/image/png"] == 1
    assert "spans_truncated" not in counted(counters)


async def test_the_same_image_twice_is_one_blob(traces: Traces, here: Context) -> None:
    """In one span or several; each place has its reference."""
    url = url_of(PNG, "image/png")
    span = await stored(traces, here, {"a": url, "b": f"before {url} after {url}", "c": [url, {"d": url}]})
    said = reference(PNG, "image/png")
    assert (span.attributes["a"], span.attributes["b"]) == (said, f"before {said} after {said}")
    assert span.attributes["c"] == [said, {"d": said}]
    assert span.attributes["gimbal.ingest"] == {"media": 5, "payloads": {digest_of(PNG): "image/png"}}


async def test_media_in_events_and_bytes_of_the_wire_are_moved(traces: Traces, here: Context) -> None:
    """OTLP has values that are bytes; what they are their beginning tells."""
    trace = wire.trace_id()
    given = wire.span(trace, 1, attributes={"picture": PNG, "small": b"\x89PNG\r\n\x1a\n"})
    given.events.add(name="gen_ai.user.message", attributes=wire.pairs({"content": url_of(JPEG, "image/jpeg")}))
    await ingest(here, wire.request(given, resource={"logo": url_of(PNG, "image/png")}))
    span = (await traces.get(here, trace)).spans[0]
    assert span.attributes["picture"] == reference(PNG, "image/png")
    assert span.attributes["small"] == text_of(b"\x89PNG\r\n\x1a\n")
    assert span.events[0]["attributes"]["content"] == reference(JPEG, "image/jpeg")
    assert span.resource["logo"] == reference(PNG, "image/png")
    assert span.resource["gimbal.ingest"]["payloads"] == {digest_of(PNG): "image/png"}


@pytest.mark.parametrize("form", ["list", "text", "inside", "texts"])
async def test_long_vectors_are_references(traces: Traces, here: Context, blobs: Blobs, form: str) -> None:
    """A thousand numbers say nothing to a reader; how many they are stays."""
    vector = [round(_chance.uniform(-1, 1), 6) for _ in range(1536)]
    value: Any = {
        "list": vector,
        "text": json.dumps(vector),
        "inside": json.dumps({"data": [{"index": 0, "embedding": vector}]}),
        "texts": [json.dumps(vector), json.dumps(vector)],
    }[form]
    span = await stored(traces, here, {"value": value})
    held = span.attributes["value"]
    if form == "inside":
        held = json.loads(held)["data"][0]["embedding"]
    found = reference_in(held[0] if form == "texts" else held)
    assert found is not None
    assert (found.media_type, found.numbers) == ("application/json", 1536)
    assert json.loads(await blobs.get(found.digest)) == vector


@pytest.mark.parametrize(
    "value",
    [
        text_of(BARE), "x" * 5000, "word " * 2000, json.dumps({"token": text_of(BARE)}), url_of(PNG, "image/png").replace("/", "!"),
        "data:image/png;base64," + "A" * 4097 + "==", "prose with " + text_of(PNG) + " in it", "-" * 3000, "1," * 2000, "[" + "1," * 2000 + "]",
        json.dumps([1] * 100), url_of(b"\x89PNG\r\n\x1a\n", "image/png"), json.dumps({"media_type": "image/png", "note": "a", "x": "b" * 4001}),
    ],
)  # fmt: skip
async def test_what_is_no_media_stays(traces: Traces, here: Context, value: str) -> None:
    """Long words, tokens, base64 that is damaged or says not what it is, and what is short."""
    span = await stored(traces, here, {"value": value})
    assert span.attributes["value"] == value
    assert "gimbal.ingest" not in span.attributes


async def test_what_a_sender_marks_itself_is_no_mark_of_ours(traces: Traces, here: Context) -> None:
    """It is kept under another name."""
    forged = {"payloads": {digest_of(PNG): "image/png"}}
    span = await stored(traces, here, {"gimbal.ingest": forged})
    assert span.attributes["gimbal.ingest.sent"] == forged
    assert "gimbal.ingest" not in span.attributes


def test_nothing_but_media_changes_in_any_text() -> None:
    """Random texts around random media: the rest is the same letter by letter, wherever the media begins."""
    chance = random.Random(9)
    for _ in range(300):
        kept: dict[str, bytes] = {}

        def put(content: bytes, media_type: str, numbers: int, kept: dict[str, bytes] = kept) -> Reference:
            kept[digest_of(content)] = content
            return Reference(digest_of(content), media_type, len(content), numbers)

        pieces: list[str] = []
        expected: list[str] = []
        for _ in range(chance.randint(1, 5)):
            words = "".join(chance.choices(string.ascii_letters + ' ,."{}[]:é日', k=chance.randint(0, 1500))) + " "
            content = chance.randbytes(chance.choice([10, 700, 768, 800, 1537, 4000]))
            url = url_of(content, "image/png")
            pieces += [words, url, " "]
            expected += [words, reference(content, "image/png") if len(text_of(content)) >= media.LEAST else url, " "]
        given = "".join(pieces)
        assert media.moved(given, put) == "".join(expected)
        assert media.any_in({"a": given}) or not kept
        for digest, content in kept.items():
            assert digest_of(content) == digest


def test_a_reference_is_read_as_it_is_written() -> None:
    """And nothing else is one."""
    for one in (Reference(digest_of(b""), "image/png", 0), Reference(digest_of(b"x"), "application/json", 9, 3)):
        assert reference_in(str(one)) == one
        assert list(references(f'{{"a":"{one}"}} {one}')) == [one, one]
    for text in (
        "",
        "gimbal-media:",
        f"gimbal-media:{digest_of(b'')};type=x;size=1",
        f"x gimbal-media:{digest_of(b'')};type=a/b;size=1",
    ):
        assert reference_in(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "a" * 1_000_000,
        ("b" * 511 + " ") * 4000,
        "[" + "1" * 1_000_000,
        "\\" * 1_000_000,
        "data:" * 200_000,
        "1," * 500_000,
        "[" + "1," * 500_000 + "]",
    ],
)
def test_hostile_texts_are_looked_at_in_linear_time(text: str) -> None:
    """A million characters that are nearly media, and none."""

    def put(content: bytes, media_type: str, numbers: int) -> Reference:
        pytest.fail(f"{media_type} of {len(content)} bytes and {numbers} numbers")

    assert media.moved(text, put) == text
