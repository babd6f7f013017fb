"""The parser of server-sent events against every way in which a stream may be cut and written."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.generative.gateway.wire.sse import EventParser, ServerEvent, line, named, passed
from gimbal.kernel.errors import Upstream

STREAM = (
    b"\xef\xbb\xbf: hello\n\n"
    b'data: {"a":1}\n\n'
    b"event: ping\ndata:x\n\n"
    b":keep-alive\n\n\n"
    b"data: one\ndata: two\n\n"
    b"id: 7\nretry: 10\nunknown: y\ndata\n\n"
    b"event: nothing\n\n"
    b"data: \xc3\xa4\n\n"
)
MEANT = [
    ServerEvent(b'{"a":1}'),
    ServerEvent(b"x", "ping"),
    ServerEvent(b"one\ntwo"),
    ServerEvent(b""),
    ServerEvent("ä".encode()),
]


def parsed(chunks):
    parser = EventParser()
    found = [event for chunk in chunks for event in parser.feed(chunk)]
    return found + parser.end()


def cut(raw, places):
    edges = [0, *sorted(places), len(raw)]
    return [raw[start:end] for start, end in itertools.pairwise(edges)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_stream_means_the_same_byte_by_byte_and_with_every_end_of_line(end):
    raw = STREAM.replace(b"\n", end)

    assert parsed([raw]) == MEANT
    assert parsed([raw[place : place + 1] for place in range(len(raw))]) == MEANT


@given(st.sets(st.integers(0, len(STREAM))), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_a_stream_means_the_same_wherever_it_is_cut(places, end):
    assert parsed(cut(STREAM.replace(b"\n", end), places)) == MEANT


@given(st.binary(max_size=60), st.sets(st.integers(0, 60)))
def test_any_bytes_mean_the_same_wherever_they_are_cut(raw, places):
    assert parsed(cut(raw, {place for place in places if place <= len(raw)})) == parsed([raw])


@given(st.lists(st.sampled_from([b"data: a", b"event: b", b"\n", b"\r", b":", b"x"]), max_size=12), st.data())
def test_what_looks_like_a_stream_means_the_same_wherever_it_is_cut(parts, data):
    raw = b"".join(parts)
    places = data.draw(st.sets(st.integers(0, len(raw))))

    assert parsed(cut(raw, places)) == parsed([raw])


def test_an_event_without_its_blank_line_counts_when_the_stream_ends():
    assert parsed([b"data: a\n\ndata: b"]) == [ServerEvent(b"a"), ServerEvent(b"b")]
    assert parsed([b"data: b\r"]) == [ServerEvent(b"b")]
    assert parsed([b"\xef\xbb"]) == []


def test_an_event_comes_with_the_byte_that_completes_it():
    parser = EventParser()

    assert parser.feed(b"data: a\n") == []
    assert parser.feed(b"\n") == [ServerEvent(b"a")]
    assert parser.feed(b"data: b\r\n\r") == []
    assert parser.feed(b"\n") == [ServerEvent(b"b")]


@pytest.mark.parametrize("chunk", [b"x" * 100, b"data: x\n" * 12, b"data: x\r\n" * 12])
def test_an_event_that_does_not_end_is_refused_before_it_fills_the_memory(chunk):
    parser = EventParser(limit=1000)

    def fill():
        for _ in range(12):
            parser.feed(chunk)

    with pytest.raises(Upstream, match="more than 1000 bytes"):
        fill()


def test_an_event_in_very_many_chunks_is_put_together_once():
    parser = EventParser()
    parser.feed(b"data: ")
    for _ in range(200_000):
        parser.feed(b"x" * 8)

    assert parser.feed(b"\n\n") == [ServerEvent(b"x" * 1_600_000)]


def test_what_we_write_is_what_the_parser_reads():
    raw = line({"text": "a\n\nb"}) + named("response.created", {"n": 1})

    assert parsed([raw]) == [ServerEvent(b'{"text":"a\\n\\nb"}'), ServerEvent(b'{"n":1}', "response.created")]


@given(
    st.lists(st.sampled_from([b"a", b"\n", b" ", b"data: ", b"{"]), min_size=1, max_size=6), st.sampled_from(["", "x"])
)
def test_an_event_that_is_passed_on_means_the_same(parts, name):
    data = b"".join(parts)

    assert parsed([passed(data, name)]) == [ServerEvent(data, name)]
