"""The client under trouble: servers that are away, busy, strange or slow, and keys and addresses that are wrong."""

import os
import socket
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from bench.bar import Running, free_port
from tests.links import Answer, Cable, scripted

import gimbal
from gimbal.axis.runs.model import LogMetric
from gimbal.faces.client.transport import Transport
from gimbal.kernel.context import Role
from gimbal.kernel.errors import (
    BadInput,
    Busy,
    ConfigurationError,
    DeadlineExceeded,
    Forbidden,
    GimbalError,
    NotAuthenticated,
    NotFound,
    Unavailable,
    error_kinds,
)

EMPTY = Answer(200, b'{"items": []}')


def said(kind: type[GimbalError], status: int | None = None, **headers: str) -> Answer:
    error = kind("What happened.", where="the.place", kept="half of it", todo="Mend it.")
    return Answer(status or kind.status, error.as_json(), headers)


@pytest.mark.parametrize("code", sorted(error_kinds()))
def test_an_error_comes_out_as_it_went_in(code: str) -> None:
    """Every class of error crosses the wire with where, kept and todo."""
    kind = error_kinds()[code]
    with scripted(said(kind)) as port, pytest.raises(GimbalError) as caught, gimbal.Client(port.url, patience=0) as far:
        far.runs.show("some")

    assert type(caught.value) is kind
    assert caught.value.body() == kind("What happened.", where="the.place", kept="half of it", todo="Mend it.").body()


@pytest.mark.parametrize("kind", [Busy, Unavailable])
def test_a_busy_server_is_asked_again_after_the_time_it_names(kind: type[GimbalError]) -> None:
    """Whatever the method: it said so before it did anything. The same bytes are sent again."""
    busy = said(kind, **{"retry-after": "0.05"})
    made = Answer(200, b'{"params": 0, "tags": 1, "metrics": 0, "inputs": []}')
    with scripted(busy, busy, made) as port, gimbal.Client(port.url, patience=10) as far:
        assert far.runs.log("some", tags={"a": "b"}).tags == 1

    assert [row[:2] for row in port.asked] == [("POST", "/api/v1/projects/default/runs/some/log")] * 3
    assert {row[2] for row in port.asked} == {b'{"tags":{"a":"b"}}'}


def test_a_busy_server_is_not_asked_for_ever() -> None:
    """Patience ends with the server's own words; a Retry-After that is a date does not break it."""
    busy = said(Busy, **{"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"})
    with scripted(busy) as port, gimbal.Client(port.url, patience=0.25) as far, pytest.raises(Busy, match="happened"):
        far.runs.show("some")

    assert 2 <= len(port.asked) <= 4


def test_an_upload_from_a_stream_is_sent_once() -> None:
    """What cannot be read again is not repeated; a file is."""
    busy = said(Busy, **{"retry-after": "0.01"})
    with scripted(busy) as port, gimbal.Client(port.url, patience=5) as far, pytest.raises(Busy):
        far.blobs.put(iter([b"ab", b"c"]))
    assert len(port.asked) == 1

    stored = Answer(200, b'{"digest": "b3:00", "size": 3}')
    with scripted(busy, stored) as port, gimbal.Client(port.url, patience=5) as far:
        far.blobs.put(b"abc")
    assert [row[2] for row in port.asked] == [b"abc", b"abc"]


def test_a_connection_that_breaks_is_mended_for_what_may_be_repeated() -> None:
    """A read is sent again; a POST is not, and the error says that nobody knows."""
    with scripted(Answer(0, b""), EMPTY) as port, gimbal.Client(port.url, patience=5) as far:
        assert far.runs.list().items == []

    with (
        scripted(Answer(0, b""), EMPTY) as port,
        gimbal.Client(port.url, patience=5) as far,
        pytest.raises(Unavailable, match="broke") as caught,
    ):
        far.projects.create(slug="twice")
    assert len(port.asked) == 1
    assert caught.value.kept.startswith("unknown")


def test_a_slow_answer_ends_in_a_deadline() -> None:
    """After the client's own timeout, with what is known: nothing."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        with gimbal.Client(url, timeout=0.2, patience=0) as far:
            with pytest.raises(DeadlineExceeded, match=r"did not answer within 0\.2 s") as caught:
                far.projects.create(slug="slow")
            with pytest.raises(DeadlineExceeded) as read:
                far.projects.list()

    assert "may have done it" in caught.value.kept
    assert read.value.kept == ""


def test_no_server_says_what_to_start() -> None:
    """At once, whatever the patience."""
    url = f"http://127.0.0.1:{free_port()}"
    with gimbal.Client(url, patience=600) as far, pytest.raises(Unavailable) as caught:
        far.projects.list()

    assert caught.value.message == f"Gimbal does not answer at {url}."
    assert "gimbal up" in caught.value.todo
    assert "GIMBAL_URL" in caught.value.todo


@pytest.mark.parametrize(
    ("answer", "kind", "part"),
    [
        (Answer(200, b"<html>hello</html>"), ConfigurationError, "is not the Gimbal that this client knows"),
        (Answer(200, b'{"other": 1}'), ConfigurationError, "is not the Gimbal that this client knows"),
        (Answer(301, b"", {"location": "https://elsewhere/"}), ConfigurationError, "https://elsewhere/"),
        (Answer(404, b"<html>nginx</html>"), NotFound, "answered 404: <html>nginx</html>"),
        (Answer(502, b"\xff\xfe"), GimbalError, "answered 502"),
        (Answer(500, b'{"error": "plain"}'), GimbalError, "answered 500"),
    ],
)
def test_what_is_not_gimbal_is_named_as_such(answer: Answer, kind: type[GimbalError], part: str) -> None:
    """A wrong port or a proxy's page is no traceback."""
    with scripted(answer) as port, gimbal.Client(port.url, patience=0) as far, pytest.raises(kind) as caught:
        far.runs.list()

    assert part in caught.value.message
    assert "GIMBAL_URL" in f"{caught.value.where} {caught.value.todo}"


@pytest.mark.parametrize("text", ["127.0.0.1:8765", "localhost:8765", "ftp://host", "http://", "http://[::1", "words"])
def test_an_address_that_is_none_is_refused_before_anything_is_sent(text: str) -> None:
    """With an example of one."""
    with pytest.raises(ConfigurationError, match=r"is not the address of a server.*http://127\.0\.0\.1:8765"):
        gimbal.Client(text)


@pytest.mark.parametrize("text", ["gk_ä", "two words", "line\nbreak"])
def test_a_key_that_cannot_be_one_is_refused(text: str) -> None:
    """No header can carry it, and the message does not show it."""
    with pytest.raises(ConfigurationError, match="characters that no key has") as caught:
        gimbal.Client("http://127.0.0.1:1", key=text)

    assert text not in str(caught.value)


def test_keys_open_what_they_are_for(up: Running, client: gimbal.Client) -> None:
    """An unknown key, a viewer that writes, a key of another project; blanks around a key do not matter."""
    client.projects.create(slug="sdk-keys")
    key = client.keys.create(name="look", role=Role.VIEWER, project="sdk-keys").secret
    with gimbal.Client(up.url, key="gk_nobody-has-this") as far, pytest.raises(NotAuthenticated):
        far.runs.list()
    with gimbal.Client(up.url, key=f" {key}\n", project="sdk-keys") as far:
        assert far.project == "sdk-keys"
        assert far.runs.list().items == []
        with pytest.raises(Forbidden):
            far.runs.create(name="no")
        with pytest.raises(GimbalError) as caught:
            far.runs.list(project="default")
    assert caught.value.status in {403, 404}


def test_the_environment_says_where_and_as_whom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments come before variables, variables before defaults."""
    for name in ("GIMBAL_URL", "GIMBAL_API_KEY", "GIMBAL_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    plain = Transport()
    assert (plain.url, plain.key, plain.project) == ("http://127.0.0.1:8765", "", "default")

    monkeypatch.setenv("GIMBAL_URL", "http://gimbal.example:80/base/")
    monkeypatch.setenv("GIMBAL_API_KEY", "gk_abc\n")
    monkeypatch.setenv("GIMBAL_PROJECT", "shop")
    told = Transport()
    assert (told.url, told.key, told.project) == ("http://gimbal.example/base", "gk_abc", "shop")

    given = Transport("https://other", "gk_x", "lab")
    assert (given.url, given.key, given.project) == ("https://other", "gk_x", "lab")


def test_a_proxy_of_the_environment_does_not_stand_before_this_machine(
    client: gimbal.Client, up: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP_PROXY is for the outer world; the local server is asked directly."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "")
    with gimbal.Client(up.url) as far:
        assert [p.slug for p in far.projects.list() if p.slug == "default"] == ["default"]


def test_values_cross_the_wire_as_they_are(client: gimbal.Client) -> None:
    """Slashes, percent signs and other alphabets in a path; upper case and times in references; decimals in prices."""
    run = client.runs.create(name="ä/ö %2F", experiment="a&b=c?")
    name = "loss/train %2F é ✓ {id}"
    client.runs.artifact_put(run.id, "x y/ä?#%41.txt", b"there")
    client.runs.log(run.id, metrics=[LogMetric(name=name, value=1.5)])

    assert client.runs.metric(run.id, name).items[0].value == 1.5
    assert b"".join(client.runs.artifact(run.id, "x y/ä?#%41.txt")) == b"there"
    assert [r.id for r in client.runs.list(experiment="a&b=c?").items] == [run.id]
    assert {type(row.input) for row in client.prices.list().items} == {Decimal}


def test_a_download_that_breaks_off_is_an_error(up: Running) -> None:
    """Half a file never looks like a whole one."""
    cable = Cable(up.url)
    with gimbal.Client(cable.url, patience=0) as far:
        run = far.runs.create()
        far.runs.artifact_put(run.id, "large.bin", os.urandom(32 << 20))
        chunks = far.runs.artifact(run.id, "large.bin")
        next(chunks)
        cable.pull()
        with pytest.raises(Unavailable, match="broke"):
            list(chunks)
        with pytest.raises(Unavailable, match="does not answer"):
            list(far.runs.artifact(run.id, "large.bin"))


def test_a_download_of_what_is_not_there_is_not_found(client: gimbal.Client) -> None:
    """The error of a raw answer is an error, not its bytes."""
    run = client.runs.create()
    with pytest.raises(NotFound, match=r"no artifact 'nothing\.txt'"):
        list(client.runs.artifact(run.id, "nothing.txt"))


def test_every_walks_all_pages(client: gimbal.Client) -> None:
    """In order, with the arguments of the list itself."""
    made = [client.runs.create(name=f"n{i}", experiment="pages").id for i in range(7)]

    assert [r.id for r in client.every(client.runs.list, experiment="pages", limit=3)] == made[::-1]
    assert list(client.every(client.runs.list, experiment="no such")) == []
    with pytest.raises(BadInput):
        list(client.every(client.runs.list, limit=0))


def test_a_forked_child_has_connections_of_its_own(up: Running) -> None:
    """Parent and children ask at the same time and nobody reads another's answer."""
    program = """
import os, gimbal
client = gimbal.Client()
client.projects.list()
ready, go = os.pipe()

def right(who):
    names = [f"forked {who} {i}" for i in range(12)]
    return [client.runs.create(name=name).name for name in names] == names

children = []
for who in range(3):
    pid = os.fork()
    if pid == 0:
        os.close(go)
        os.read(ready, 1)  # all begin when the parent closes its end
        os._exit(0 if right(who) else 1)
    children.append(pid)
os.close(go)
assert right("parent")
assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 3
"""
    environment = {"GIMBAL_URL": up.url}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr.decode()


def test_a_file_is_streamed_from_the_disk(client: gimbal.Client, tmp_path: Path) -> None:
    """A path, an iterator and bytes are the same blob."""
    path = tmp_path / "weights.bin"
    path.write_bytes(b"0123456789" * 300_000)
    digests = {
        client.blobs.put(path).digest,
        client.blobs.put(path.read_bytes()).digest,
        client.blobs.put(iter([b"0123456789" * 100_000] * 3)).digest,
    }

    assert len(digests) == 1
