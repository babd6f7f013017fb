"""Heads that come again: what is met is what a parser would have told, and all else is left to the parser."""

import pytest

from gimbal.engines.http.repeated import Repeated

HEADERS = [(b"host", b"x"), (b"content-length", b"5"), (b"x-kind", b"a")]
HEAD = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: %b\r\nX-Kind: a\r\n\r\n"


def known() -> Repeated:
    """Return a head that was told."""
    head = Repeated.of(HEAD % b"5" + b"hello", HEADERS)
    assert head is not None
    return head


@pytest.mark.parametrize("length", [0, 5, 17, 123_456_789_012])
def test_only_the_length_may_differ(length: int) -> None:
    data = HEAD % b"%d" % length
    assert known().met(data + b"hello") == (len(data), length)
    assert known().headers(length) == [(b"host", b"x"), (b"content-length", b"%d" % length), (b"x-kind", b"a")]


@pytest.mark.parametrize(
    "data",
    [
        HEAD[:-1] % b"5",  # not whole yet
        HEAD % b"",
        HEAD % b"-5",
        HEAD % b"+5",
        HEAD % b"5 ",
        HEAD % b"0x5",
        HEAD % b"5_0",
        HEAD % b"5, 5",
        HEAD % "\N{ARABIC-INDIC DIGIT FIVE}".encode(),
        HEAD % b"05",
        HEAD % (b"0" * 16 + b"5"),
        (HEAD % b"5").replace(b"POST", b"post"),
        (HEAD % b"5").replace(b"Host", b"host"),
        (HEAD % b"5").replace(b": a", b": b"),
        (HEAD % b"5").replace(b"\r\nX", b"\r\nTransfer-Encoding: chunked\r\nX"),
        b"\r\n" + HEAD % b"5",
        b"",
    ],
)
def test_what_differs_elsewhere_is_left_to_the_parser(data: bytes) -> None:
    assert known().met(data) is None


def test_a_head_without_a_body_is_met_as_it_is() -> None:
    data = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    head = Repeated.of(data, [(b"host", b"x")])
    assert head is not None
    assert head.met(data + b"GET") == (len(data), 0)
    assert head.headers(0) == [(b"host", b"x")]
    assert head.met(data[:-2] + b"Content-Length: 5\r\n\r\nhello") is None


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\n", [(b"host", b"x")]),  # its end has not come
        (b"POST / HTTP/1.1\r\nHost: x\r\nX-A: b" + b"b" * 5000 + b"\r\n\r\n", [(b"host", b"x"), (b"x-a", b"b" * 5001)]),
        (b"\r\nPOST / HTTP/1.1\r\nHost: x\r\n\r\n", [(b"host", b"x")]),
        (b"POST / HTTP/1.1\nHost: x\n\r\n\r\n", [(b"host", b"x")]),
        (b"POST / HTTP/1.1\r\nX-A: b\r\n c\r\n\r\n", [(b"x-a", b"b c")]),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", [(b"transfer-encoding", b"chunked")]),
        (
            b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            [(b"content-length", b"5"), (b"content-length", b"5")],
        ),
        (b"POST / HTTP/1.1\r\nContent-Length: 5 \r\n\r\n", [(b"content-length", b"5")]),
        # the parser has told of another head than the first one here
        (b"POST / HTTP/1.1\r\nA: b\r\n\r\nGET / HTTP/1.1\r\nC: d\r\nE: f\r\n\r\n", [(b"c", b"d"), (b"e", b"f")]),
    ],
)
def test_an_unusual_head_is_not_kept(data: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    assert Repeated.of(data, headers) is None


def test_what_is_told_of_one_is_its_own() -> None:
    """Whoever changes the headers of one request changes no other's."""
    head = known()
    head.headers(5).clear()
    assert head.headers(5) == HEADERS
