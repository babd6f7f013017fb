"""Bodies and answers on a real socket: limits before reading all, encodings undone in small steps, early ends noticed."""

import contextlib
import gzip
import http.client
import json
import re
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator

import httpx
import pytest
from backports import zstd
from tests.faces.server.asking import told

from gimbal.faces.server.unpack import STEP, Unpacking
from gimbal.kernel.errors import CorruptUpload, WrongMediaType

RUNS = "/api/v1/projects/default/runs"
VERSIONS = "/api/v1/projects/default/assets/dataset:x/versions"
BODY = json.dumps({"name": "packed"}).encode()


def wait_for(what: Callable[[], bool], message: str) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline, message


def given_up(client, route: str, method: str) -> int:
    """Return how often a request to `route` was answered with 400."""
    found = re.search(rf'route="{route}",method="{method}",status="400"}} (\d+)', client.get("/metrics").text)
    return int(found[1]) if found else 0


def count(client) -> int:
    return len(client.get(RUNS, params={"limit": 1000}).json()["items"])


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(BODY)),
        ("GZIP", gzip.compress(BODY)),
        ("gzip", gzip.compress(BODY[:5]) + gzip.compress(BODY[5:])),
        ("deflate", zlib.compress(BODY)),
        ("zstd", zstd.compress(BODY)),
        ("zstd", zstd.compress(BODY[:5]) + zstd.compress(BODY[5:])),
        ("identity", BODY),
    ],
    ids=["gzip", "upper", "gzip-members", "deflate", "zstd", "zstd-frames", "identity"],
)
def test_every_encoding_is_read(client, encoding, packed):
    reply = client.post(RUNS, content=packed, headers={"content-encoding": encoding})

    assert reply.json()["name"] == "packed"


@pytest.mark.parametrize("encoding", ["br", "gzip, zstd", "x"])
def test_an_unknown_encoding_is_refused_with_those_that_are_known(client, encoding):
    error = told(client.post(RUNS, content=BODY, headers={"content-encoding": encoding}), 415, "wrong_media_type")

    assert error["where"] == "Content-Encoding"
    assert "gzip, deflate, zstd" in error["todo"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_what_is_not_what_it_says_is_corrupt(client, encoding):
    error = told(client.post(RUNS, content=b"{}", headers={"content-encoding": encoding}), 400, "corrupt_upload")

    assert encoding in error["message"]


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [("gzip", gzip.compress(BODY)), ("deflate", zlib.compress(BODY)), ("zstd", zstd.compress(BODY * 9))],
    ids=["gzip", "deflate", "zstd"],
)
def test_a_packed_body_that_ends_too_early_is_corrupt(client, encoding, packed):
    before = count(client)
    error = told(client.post(RUNS, content=packed[:-5], headers={"content-encoding": encoding}), 400, "corrupt_upload")

    assert "too early" in error["message"]
    assert count(client) == before


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
def test_a_bomb_is_refused_at_the_limit_of_what_it_unfolds_to(client, served, pack):
    """A few kilobytes that stand for 100 MB: the answer says the limit, which is that of the unpacked body."""
    bomb = pack(b" " * 100_000_000)
    assert len(bomb) < served.limits.max_body_bytes
    name = "zstd" if pack is zstd.compress else "gzip"
    error = told(client.post(RUNS, content=bomb, headers={"content-encoding": name}), 413, "too_large")

    assert str(served.limits.max_body_bytes) in error["message"]


def test_a_body_that_unpacks_to_nothing_is_not_read_for_ever(client, served):
    empty = gzip.compress(b"") * (2 * served.limits.max_body_bytes // 20)
    error = told(client.post(RUNS, content=empty, headers={"content-encoding": "gzip"}), 413, "too_large")

    assert "packed" in error["message"]


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, zstd.compress])
def test_no_step_of_unpacking_is_large(pack):
    """A bomb costs one step of memory, however small the piece that it came in."""
    whole = b"a" * 3_000_000 + bytes(range(256)) * 1000
    unpacking = Unpacking({gzip.compress: "gzip", zlib.compress: "deflate"}.get(pack, "zstd"))
    pieces = list(unpacking.feed(pack(whole)))
    unpacking.end()

    assert b"".join(pieces) == whole
    assert max(map(len, pieces)) <= STEP


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress])
def test_unpacking_does_not_depend_on_how_the_body_was_cut(pack):
    whole = bytes(range(256)) * 500
    packed = pack(whole) + pack(whole)
    unpacking = Unpacking("zstd" if pack is zstd.compress else "gzip")
    pieces = [piece for start in range(len(packed)) for piece in unpacking.feed(packed[start : start + 1])]
    unpacking.end()

    assert b"".join(pieces) == whole * 2


def test_a_zstd_window_larger_than_the_standard_allows_is_refused():
    """RFC 9659: 8 MB, so that a small body cannot claim a large buffer."""
    level = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.content_size_flag: 0}
    maker = zstd.ZstdCompressor(options=level)
    packed = maker.compress(b"x" * 20_000_000) + maker.flush()

    with pytest.raises(CorruptUpload):
        list(Unpacking("zstd").feed(packed))


def test_an_encoding_is_checked_before_a_byte_is_read():
    with pytest.raises(WrongMediaType):
        Unpacking("compress")


def test_a_body_that_announces_too_much_is_refused_unread(served):
    """Only the head is sent; the answer comes without a byte of the body."""
    with socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2])), timeout=20) as link:
        size = served.limits.max_body_bytes + 1
        link.sendall(f"POST {RUNS} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {size}\r\n\r\n".encode())
        reply = http.client.HTTPResponse(link)
        reply.begin()
        error = json.loads(reply.read())["error"]

    assert reply.status == 413
    assert error["where"] == "Content-Length"


def test_a_body_without_a_length_is_refused_before_it_has_come_to_its_end(served):
    """A sender that never ends gets its answer as soon as the limit is passed."""
    with socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2])), timeout=20) as link:
        link.sendall(f"POST {RUNS} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(served.limits.max_body_bytes // 50_000 + 1):
            link.sendall(b"c350\r\n" + b" " * 50_000 + b"\r\n")
        reply = http.client.HTTPResponse(link)
        reply.begin()
        error = json.loads(reply.read())["error"]

    assert reply.status == 413
    assert "max_body_bytes" in error["todo"]


def test_an_upload_has_its_own_limit(client, served):
    run = client.post(RUNS, json={"name": "files"}).json()["id"]
    path = f"{RUNS}/{run}/artifacts/a.bin"
    inside = client.put(path, content=b"x" * served.limits.max_upload_bytes)
    outside = client.put(f"{path}2", content=iter([b"x" * served.limits.max_upload_bytes, b"x"]))

    assert inside.json()["size"] == served.limits.max_upload_bytes
    told(outside, 413, "too_large")
    assert [f["path"] for f in client.get(f"{RUNS}/{run}/artifacts").json()] == ["a.bin"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"name": "x",}', "byte"),
        (b'{"name": "x"', "truncated"),
        (b'{"name": tru}', "byte"),
        (b"\xef\xbb\xbf{}", "byte 0"),
        (b'{"name": "\xff"}', "byte"),
        (b'{"name": "\xc3("}', "byte"),
        ('{"name": "x"}'.encode("utf-16"), "byte"),
        (b"name=x", "byte"),
    ],
    ids=["comma", "cut", "word", "bom", "latin-1", "bad-utf8", "utf-16", "form"],
)
def test_what_is_not_json_says_at_which_byte(client, body, words):
    error = told(client.post(RUNS, content=body), 400, "bad_input")

    assert error["where"] == "body"
    assert words in error["message"]


def test_a_body_nested_without_end_is_refused(client):
    error = told(client.post(VERSIONS, content=b'{"manifest": {"a": ' + b"[" * 90_000), 400, "bad_input")

    assert "nested too deeply" in error["message"]


@contextlib.contextmanager
def half_sent(served, head: str, part: bytes) -> Iterator[socket.socket]:
    link = socket.create_connection(("127.0.0.1", int(served.url.rpartition(":")[2])), timeout=20)
    try:
        link.sendall(head.encode() + part)
        yield link
    finally:
        link.close()


def test_a_caller_who_goes_away_in_mid_upload_leaves_nothing_behind(client, served):
    """No artifact, no file and no part of one; the request counts as the caller's."""
    run = client.post(RUNS, json={"name": "torn"}).json()["id"]
    path = f"{RUNS}/{run}/artifacts/half.bin"
    files = lambda: {p.name for p in (served.folder / "blobs").rglob("*") if p.is_file()}
    before = files()
    earlier = given_up(client, "runs.artifact-put", "PUT")
    with half_sent(served, f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n", b"x" * 40_000):
        pass
    wait_for(lambda: given_up(client, "runs.artifact-put", "PUT") > earlier, "the server did not notice")

    assert client.get(f"{RUNS}/{run}/artifacts").json() == []
    assert files() == before


def test_a_caller_who_goes_away_in_mid_body_changes_nothing(client, served):
    before, earlier = count(client), given_up(client, "runs.create", "POST")
    with half_sent(served, f"POST {RUNS} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 999\r\n\r\n", BODY):
        pass
    wait_for(lambda: given_up(client, "runs.create", "POST") > earlier, "the server did not notice")

    assert count(client) == before


def test_bodies_beyond_the_memory_for_all_of_them_come_again_later(client, served):
    """While one caller's body takes most of the room, another's is refused; what it held is free in the end."""
    large = json.dumps({"name": "large", "tags": {"x": "y" * 150_000}}).encode()
    head = f"POST {RUNS} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(large)}\r\n\r\n"
    with half_sent(served, head, large[:-1]) as link:
        wait_for(lambda: served.app.room.taken == len(large) - 1, "the server did not read the first body")
        refused = client.post(RUNS, content=large)
        link.sendall(large[-1:])
        first = http.client.HTTPResponse(link)
        first.begin()
        first.read()

    assert told(refused, 429, "busy")["kept"] == "nothing of this request"
    assert float(refused.headers["retry-after"]) >= 1
    wait_for(lambda: served.app.room.taken == 0, "the memory was not given back")
    assert client.post(RUNS, content=large).status_code == first.status


def test_a_stream_stops_when_its_reader_goes_away(client, served):
    served.closed.clear()
    with client.stream("GET", "/test/endless") as reply:
        assert next(reply.iter_bytes())
    wait_for(lambda: served.closed == ["GET"], "the stream went on")


@pytest.mark.parametrize("query", ["", "?first"])
def test_a_stream_that_waits_stops_when_its_reader_goes_away(served, query):
    """As one of a slow model does, before its first word or between two."""
    served.closed.clear()
    with half_sent(served, f"GET /test/silent{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"") as link:
        got = b""
        while query and b"first" not in got:
            got += link.recv(1000)
    wait_for(lambda: served.closed == ["silent"], "the stream went on")


def test_head_has_the_headers_of_get_and_no_body(client):
    got, head = client.get("/api/v1/projects"), client.head("/api/v1/projects")

    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == got.headers["content-length"]


def test_head_of_a_stream_is_answered_without_making_it(client, served):
    served.closed.clear()

    assert client.head("/test/endless").content == b""
    assert served.closed == []


def test_an_answer_without_a_body_has_no_type_and_no_length(client):
    """RFC 9110, sections 8.6 and 15.3.5."""
    reply = client.get("/test/nothing")

    assert reply.status_code == 204
    assert not {"content-type", "content-length", "transfer-encoding"} & set(reply.headers)


def test_many_requests_at_once_get_their_own_answers(served):
    """Thirty-two runs by eight connections at a time: each answer is that of its request, and nothing is lost."""
    answers: dict[str, str] = {}

    def work(part: int) -> None:
        with httpx.Client(base_url=served.url, timeout=20) as mine:
            for number in range(4):
                name = f"at-once-{part}-{number}"
                answers[name] = mine.post(RUNS, json={"name": name, "experiment": "at-once"}).json()["name"]

    threads = [threading.Thread(target=work, args=(part,)) for part in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    with httpx.Client(base_url=served.url, timeout=20) as reader:
        kept = reader.get(RUNS, params={"experiment": "at-once", "limit": 1000}).json()["items"]

    assert len(answers) == 32
    assert all(name == answer for name, answer in answers.items())
    assert {run["name"] for run in kept} == set(answers)
