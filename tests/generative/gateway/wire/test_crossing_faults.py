"""Whatever is sent to a door or by a provider: a request, an answer, or the one error that tells what is wrong with it."""

import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.wire_answers import SAID, stream, whole
from tests.wires import DOORS, MODELS, PROVIDERS, ask, frame, gathered, rich, sse

from gimbal.generative.gateway.conversation import Conversation, Done, File, Image, Piece, Text, Turn
from gimbal.generative.gateway.wire.bedrock.frames import FrameParser
from gimbal.kernel.errors import BadInput, Upstream

OURS = ("anthropic", "gemini", "bedrock", "cohere")
OUR_DOORS = ("anthropic", "gemini")
EXTRAS = {"stream_options": {"include_usage": True}}
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=6), inner, max_size=2),
    max_leaves=4,
)
tries = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def replaced(value, draw):
    """Return a value with something in it replaced by anything."""
    if isinstance(value, dict) and value and draw(st.integers(0, 5)):
        name = draw(st.sampled_from(sorted(value)))
        if not draw(st.integers(0, 9)):
            return {key: inner for key, inner in value.items() if key != name}
        return value | {name: replaced(value[name], draw)}
    if isinstance(value, list) and value and draw(st.integers(0, 5)):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], replaced(value[place], draw), *value[place + 1 :]]
    return draw(st.sampled_from([[], {}, None, 0, -1, 1.5, True, "", "x", [None], [{}], {"type": []}]) | json_values)


def everything(piece):
    """Return a piece as it is stored, which only a piece of the right types can be."""
    return msgspec.convert(msgspec.to_builtins(piece), Piece)


def outcome(work, kind=BadInput):
    """Return what some work gives; None where it raised the one error it may, which then says where and what."""
    try:
        return work()
    except kind as problem:
        if not problem.message or (kind is BadInput and not problem.where):
            raise AssertionError(repr(problem)) from problem
        return None


@pytest.mark.parametrize("door", OUR_DOORS)
@given(data=st.data())
@tries
def test_a_door_takes_a_request_or_says_what_is_wrong(door, data):
    body = replaced(replaced(rich(door), data.draw), data.draw)
    body = body if isinstance(body, dict) else {"messages": body, "contents": body}
    conversation = outcome(lambda: DOORS[door].conversation(ask(door, body)))
    if conversation is not None:
        for provider, wire in PROVIDERS.items():
            outcome(lambda: json.dumps(wire.request(conversation, MODELS[provider], stream=False)))  # noqa: B023


@pytest.mark.parametrize("door", OUR_DOORS)
@given(raw=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
@tries
def test_any_bytes_at_a_door_are_bad_input(door, raw):
    with pytest.raises(BadInput):
        DOORS[door].asked(raw, {"model": "m", "action": "generateContent"})


@pytest.mark.parametrize("provider", OURS)
@given(data=st.data())
@tries
def test_a_whole_answer_is_read_or_is_an_upstream_error(provider, data):
    body = json.dumps(replaced(json.loads(whole(provider)), data.draw)).encode()
    piece = outcome(lambda: PROVIDERS[provider].reader("p", stream=False).whole(body), Upstream)
    if piece is not None:
        everything(piece)


@pytest.mark.parametrize("provider", OURS)
@given(raw=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
@tries
def test_any_bytes_are_no_answer(provider, raw):
    with pytest.raises(Upstream):
        PROVIDERS[provider].reader("p", stream=False).whole(raw)
    reader = PROVIDERS[provider].reader("p", stream=True)
    with pytest.raises(Upstream):  # noqa: PT012 - which of the two finds out depends on the bytes
        reader.feed(raw)
        reader.end()


def events(provider):
    """Return the events of a stream."""
    if provider == "bedrock":
        return [(row.headers[":event-type"], json.loads(row.payload)) for row in FrameParser().feed(stream(provider))]
    rows = [block.split("\n") for block in stream(provider).decode().split("\n\n") if block]
    return [(row[0].removeprefix("event: ") if len(row) > 1 else "", json.loads(row[-1][6:])) for row in rows]


def written(provider, rows):
    """Return events as that provider sends them."""
    if provider != "bedrock":
        return sse(rows)
    return b"".join(frame(name, row if isinstance(row, dict) else {"": row}) for name, row in rows)


@pytest.mark.parametrize("provider", OURS)
@given(data=st.data())
@tries
def test_a_stream_with_wrong_events_is_read_or_is_an_upstream_error(provider, data):
    rows = events(provider)
    place = data.draw(st.integers(0, len(rows) - 1))
    name, told = rows[place]
    rows[place] = (name, replaced(told, data.draw))
    reader = PROVIDERS[provider].reader("p", stream=True)
    pieces = []
    try:
        pieces += reader.feed(written(provider, rows))
        pieces += reader.end()
    except Upstream:
        pass
    for door, wire in DOORS.items():
        writer = wire.writer(ask(door, rich(door), stream=True), answer_id="a", model="m", created=1)
        for piece in map(everything, pieces):
            assert isinstance(writer.piece(piece, same=False), bytes)
        if any(piece.usage for piece in pieces):
            assert writer.end(gathered(pieces), same=False)


@pytest.mark.parametrize("provider", OURS)
@given(data=st.data())
@tries
def test_a_stream_with_damaged_bytes_is_read_or_is_an_upstream_error(provider, data):
    raw = bytearray(stream(provider))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    reader = PROVIDERS[provider].reader("p", stream=True)
    try:
        pieces = [*reader.feed(bytes(raw)), *reader.end()]
    except Upstream:
        return
    for piece in pieces:
        everything(piece)


@pytest.mark.parametrize("provider", OURS)
def test_a_stream_cut_anywhere_keeps_what_came_and_says_so(provider):
    raw = stream(provider)
    # The last event of some is only the usage; without it the answer is there.
    last = len(raw) if provider != "bedrock" else raw.rindex(b"metadata") - 30
    for size in range(0, last - 2, 3):
        reader = PROVIDERS[provider].reader("p", stream=True)
        pieces = list(reader.feed(raw[:size]))
        with pytest.raises(Upstream) as caught:
            pieces += reader.end()
        assert caught.value.kept == "what was streamed before"
        assert SAID.startswith("".join(piece.text for piece in pieces))


@pytest.mark.parametrize("provider", ["anthropic", "gemini", "cohere"])
def test_other_ends_of_lines_comments_and_unknown_events_change_nothing(provider):
    plain = PROVIDERS[provider].reader("p", stream=True)
    meant = gathered([*plain.feed(stream(provider)), *plain.end()])
    noise = b': keep-alive\n\nevent: ping\ndata: {"type": "ping"}\n\nevent: news\ndata: {"type": "news", "x": [1]}\n\n'
    if provider == "gemini":
        noise = b': keep-alive\n\ndata: {"news": 1}\n\n'
    raw = stream(provider).replace(b"\n\n", b"\n\n" + noise, 2)
    for text in (raw, raw.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + raw.replace(b"\n", b"\r")):
        for size in (1, 5, len(text)):
            reader = PROVIDERS[provider].reader("p", stream=True)
            pieces = []
            for begin in range(0, len(text), size):
                pieces += reader.feed(text[begin : begin + size])
            pieces += reader.end()
            assert gathered(pieces) == meant


@pytest.mark.parametrize("provider", OURS)
def test_an_answer_without_usage_is_an_answer(provider):
    name = {"gemini": "usageMetadata"}.get(provider, "usage")
    body = json.loads(whole(provider))
    del body[name]
    piece = PROVIDERS[provider].reader("p", stream=False).whole(json.dumps(body).encode())
    assert (piece.text, piece.usage) == (SAID, None)


def test_types_that_are_no_names_are_unknown_ones():
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": []}}
    (piece,) = PROVIDERS["anthropic"].reader("p", stream=True).feed(sse([("content_block_start", block)]))
    assert piece.event == "content_block_start"
    for kind in ("image", "document"):
        body = {"messages": [{"role": "user", "content": [{"type": kind, "source": {"type": []}}]}]}
        assert list(DOORS["anthropic"].conversation(ask("anthropic", body)).extras) == ["messages[0].content[0]"]
    turn = Turn(role="user", parts=(Text(text="a", cache={"ttl": []}),))
    assert PROVIDERS["bedrock"].request(Conversation(turns=(turn,)), MODELS["bedrock"], stream=False)


CONTRADICTIONS = {
    "anthropic": {"input_tokens": 7, "output_tokens": 5, "output_tokens_details": {"thinking_tokens": 9}},
    "gemini": {"promptTokenCount": 7, "cachedContentTokenCount": 9, "candidatesTokenCount": 5},
    "bedrock": {"inputTokens": 7, "outputTokens": 5, "totalTokens": 99},
    "cohere": {"billed_units": {"input_tokens": 7, "output_tokens": -1}},
}


@pytest.mark.parametrize("provider", OURS)
def test_usage_that_contradicts_itself_leaves_the_answer(provider):
    name = {"gemini": "usageMetadata"}.get(provider, "usage")
    body = json.loads(whole(provider)) | {name: CONTRADICTIONS[provider]}
    piece = PROVIDERS[provider].reader("p", stream=False).whole(json.dumps(body).encode())
    assert piece.text == SAID
    assert piece.usage.contradictory
    assert piece.usage.input_tokens == 7
    assert not piece.usage.plausible()


@pytest.mark.parametrize(
    ("data", "kind"),
    [("iVBORw0KGgo=", "png"), ("/9j/4AAQ", "jpeg"), ("R0lGODlh", "gif"), ("UklGRhoA", "webp"), ("AAAA", "png")],
)
def test_a_picture_without_a_type_is_known_by_its_first_bytes(data, kind):
    conversation = Conversation(turns=(Turn(role="user", parts=(Image(data=data),)),))
    for name in ("anthropic", "gemini", "bedrock", "cohere"):
        assert f"{kind}" in json.dumps(PROVIDERS[name].request(conversation, MODELS[name], stream=False))


def test_a_document_without_a_type_is_known_by_its_name():
    conversation = Conversation(turns=(Turn(role="user", parts=(File(data="YQ==", name="notes.csv"),)),))
    (message,) = PROVIDERS["bedrock"].request(conversation, "m", stream=False)["messages"]
    assert message["content"][0]["document"]["format"] == "csv"
    (content,) = PROVIDERS["gemini"].request(conversation, "m", stream=False)["contents"]
    assert content["parts"][0]["inlineData"]["mimeType"] == "text/csv"
    (message,) = PROVIDERS["anthropic"].request(conversation, "m", stream=False)["messages"]
    assert message["content"][0]["source"] == {"type": "text", "media_type": "text/plain", "data": "a"}


@pytest.mark.parametrize("door", OUR_DOORS)
@given(data=st.data())
@tries
def test_any_answer_can_be_written(door, data):
    draw, words = data.draw, st.text(max_size=5)
    done = Done(
        id="a",
        model="m",
        created=1,
        **{name: draw(words) for name in ("text", "reasoning", "signature", "redacted", "refusal")},
        finish=draw(st.sampled_from(["", "stop", "length", "tool_calls", "content_filter", "?"])),
        estimated=draw(st.booleans()),
    )
    writer = DOORS[door].writer(ask(door, rich(door), stream=True), answer_id="a", model="m", created=1)
    json.loads(writer.whole(done))
    read = DOORS[door].reader("p", stream=False).whole(writer.whole(done))
    assert read.text + read.refusal == done.text + done.refusal
    assert read.reasoning == done.reasoning
