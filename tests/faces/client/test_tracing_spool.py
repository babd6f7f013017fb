"""Spans that could not be sent wait on disk: through outages, ends of programs, kills, full disks and damaged files."""

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from bench.bar import Running
from tests.links import Cable

import gimbal
from gimbal.axis.traces.model import Span
from gimbal.faces.client import courier as couriers
from gimbal.faces.client.spool import Spool
from gimbal.kernel.errors import BadInput, DiskFull, Forbidden, Unavailable

# Prints the trace's id, then traces until it is told on standard input, or killed.
PROGRAM = """
import gimbal, itertools, sys, threading
count = int(sys.argv[1])
with gimbal.trace("program") as root:
    for i in range(count):
        with gimbal.span(f"step {i}"):
            pass
print(root.trace_id, flush=True)
if len(sys.argv) > 2:
    for i in itertools.count(count):
        with gimbal.trace("later"):
            threading.Event().wait(0.001)
"""


def ran(url: str, spool: Path, *words: str, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run the program to its end."""
    environment = {"GIMBAL_URL": url, "GIMBAL_SPOOL": str(spool), **more}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], env=environment, capture_output=True, text=True, timeout=60, check=True
    )


def names(client: gimbal.Client, trace_id: str) -> list[str]:
    return sorted(span.name for span in client.traces.show(trace_id).spans)


def steps(count: int) -> list[str]:
    return sorted(["program", *(f"step {i}" for i in range(count))])


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def files(spool: Path, suffix: str = ".spans") -> list[Path]:
    return sorted(spool.glob(f"*/*{suffix}"))


def held(url: str, spool: Path) -> Spool:
    return Spool(url, "default", root=spool)


def line(i: int) -> bytes:
    return b'{"n":%d}' % i


def test_what_a_program_could_not_send_the_next_one_sends(cable: Cable, client: gimbal.Client, spool: Path) -> None:
    """The server is away when a program ends: it says where the spans are, and the next program to trace sends them."""
    cable.pull()
    first = ran(cable.url, spool, "30")
    left = held(cable.url, spool)
    assert f"31 spans wait in {left.folder} until the server answers" in first.stderr
    assert left.count() == 31
    assert {path.stat().st_mode & 0o777 for path in files(spool)} == {0o600}

    cable.plug()
    second = ran(cable.url, spool, "1")

    assert second.stderr == ""
    assert names(client, first.stdout.strip()) == steps(30)
    assert names(client, second.stdout.strip()) == steps(1)
    assert files(spool) == []


def test_flush_alone_sends_what_was_left(cable: Cable, client: gimbal.Client, spool: Path) -> None:
    """A program without a span of its own does it, too."""
    cable.pull()
    trace_id = ran(cable.url, spool, "3").stdout.strip()
    cable.plug()

    with gimbal.Client(cable.url, patience=20) as far:
        gimbal.flush(far)

    assert names(client, trace_id) == steps(3)


def test_an_outage_in_the_middle_is_made_up_for_without_being_asked(
    cable: Cable, client: gimbal.Client, spool: Path
) -> None:
    """The thread that sends tries again by itself; nobody traces, flushes or ends."""
    with gimbal.Client(cable.url, patience=20) as far:
        cable.pull()
        with gimbal.trace("outage", client=far) as root:
            pass
        until(lambda: len(files(spool)) == 1)
        cable.plug()
        until(lambda: files(spool) == [])
        assert names(client, root.trace_id) == ["outage"]


def test_a_killed_program_leaves_what_it_had_put_down(cable: Cable, client: gimbal.Client, spool: Path) -> None:
    """SIGKILL while it writes: every whole file arrives, a half-written one is swept away, nothing stays locked."""
    cable.pull()
    environment = {"GIMBAL_URL": cable.url, "GIMBAL_SPOOL": str(spool)}
    program = subprocess.Popen([sys.executable, "-c", PROGRAM, "200", "on"], env=environment, stdout=subprocess.PIPE)
    assert program.stdout is not None
    trace_id = program.stdout.readline().decode().strip()
    # Spans of the first second share a file; the root is in the second at the latest.
    until(lambda: len(files(spool)) >= 3)
    program.send_signal(signal.SIGKILL)
    program.wait()
    program.stdout.close()
    waiting = held(cable.url, spool).count()
    assert waiting >= 201
    (files(spool)[0].parent / "0-1-half.part").write_bytes(b"gimbal-spool-1 1")

    cable.plug()
    with gimbal.Client(cable.url, patience=20) as far:
        gimbal.flush(far)

    assert names(client, trace_id) == steps(200)
    later = [s for s in gimbal.Client.every(client.traces.list, limit=500) if s.name == "later"]
    assert len(later) == waiting - 201
    assert files(spool, "") == files(spool, ".sending")


def test_two_programs_share_a_spool(cable: Cable, client: gimbal.Client, spool: Path) -> None:
    """They write at once and send at once: every span arrives, and none twice."""
    cable.pull()
    first = [ran(cable.url, spool, "5").stdout.strip() for _ in range(2)]
    cable.plug()
    environment = {"GIMBAL_URL": cable.url, "GIMBAL_SPOOL": str(spool)}
    both = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, "50"], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    second = [(program.communicate(timeout=60)[0].strip(), program.returncode) for program in both]

    assert [code for _, code in second] == [0, 0]
    assert [names(client, trace_id) for trace_id in first] == [steps(5)] * 2
    assert [names(client, trace_id) for trace_id, _ in second] == [steps(50)] * 2
    assert files(spool) == []


def test_files_are_sent_oldest_first_and_each_once(tmp_path: Path) -> None:
    """By one at a time: who comes meanwhile is told that it is taken; what passes is tried again from there."""
    spool = Spool("http://a:1", "default", root=tmp_path)
    for i in range(3):
        spool.put([line(2 * i), line(2 * i + 1)])
    sent: list[bytes] = []
    told: list[str] = []
    away = [Unavailable("away")]

    def send(lines: "list[bytes]") -> None:
        told.append(Spool("http://a:1", "default", root=tmp_path).send_next(sent.extend))
        if away and len(sent) == 2:
            raise away.pop()
        sent.extend(lines)

    assert spool.send_next(send) == "sent"
    with pytest.raises(Unavailable):
        spool.send_next(send)
    assert spool.count() == 4
    assert [spool.send_next(send) for _ in range(3)] == ["sent", "sent", "empty"]

    assert sent == [line(i) for i in range(6)]
    assert set(told) == {"taken"}
    assert Spool("http://a:1", "other", root=tmp_path).send_next(send) == "empty"


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[:-1],
        lambda b: b + b"\n{}",
        lambda b: b.replace(b'"n":1', b'"n":2'),
        lambda _: b"",
        lambda _: b"\xff",
    ],
    ids=["cut", "longer", "changed", "empty", "nonsense"],
)
def test_a_damaged_file_is_set_aside_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[bytes], bytes]
) -> None:
    """Those before and after it are sent."""
    spool = Spool("http://a:1", "default", root=tmp_path)
    for i in range(3):
        spool.put([line(i)])
    middle = files(tmp_path)[1]
    middle.write_bytes(damage(middle.read_bytes()))
    sent: list[bytes] = []

    assert [spool.send_next(sent.extend) for _ in range(3)] == ["sent", "sent", "empty"]

    assert sent == [line(0), line(2)]
    assert caplog.messages == [f"a damaged spool file is set aside as {middle.with_suffix('.damaged')}"]
    assert middle.with_suffix(".damaged").exists()


def test_a_refusal_sets_a_file_aside_but_a_wrong_key_does_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Another key may do; what the server will never take must not stand in the way."""
    spool = Spool("http://a:1", "default", root=tmp_path)
    spool.put([line(0)])

    def refuse(problem: gimbal.GimbalError) -> None:
        raise problem

    with pytest.raises(Forbidden):
        spool.send_next(lambda _: refuse(Forbidden("Not you.")))
    assert spool.count() == 1
    assert spool.send_next(lambda _: refuse(BadInput("No."))) == "sent"
    assert (spool.count(), len(files(tmp_path, ".refused"))) == (0, 1)
    assert "1 spooled spans were refused and are set aside as" in caplog.text


def test_the_spool_has_a_limit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What came first stays; what was set aside goes before anything is refused; all servers share the limit."""
    Spool("http://a:1", "default", root=tmp_path, most=1000).put([b"x" * 400])
    other = Spool("http://b:1", "default", root=tmp_path, most=1000)
    other.put([b"y" * 300])
    with pytest.raises(DiskFull, match="The spool has its 1,000 bytes"):
        other.put([b"z" * 300])
    assert sum(path.stat().st_size for path in files(tmp_path, "")) <= 1000

    first = files(tmp_path)[0]
    first.rename(first.with_suffix(".damaged"))
    other.put([b"z" * 300])

    assert other.count() == 2
    assert "which had been set aside, was removed" in caplog.text


def test_a_full_disk_costs_spans_and_nothing_else(cable: Cable, spool: Path) -> None:
    """A tiny limit: the program runs, the log tells once of the disk and of the loss, and what was kept is whole."""
    cable.pull()
    done = ran(cable.url, spool, "2000", GIMBAL_SPOOL_BYTES="3000")

    assert "spans cannot be kept on disk: The spool has its 3,000 bytes" in done.stderr
    assert "spans were not sent and are lost" in done.stderr
    assert done.stderr.count("\n") <= 6
    assert sum(path.stat().st_size for path in files(spool, "")) <= 3000


def test_a_disk_that_breaks_off_leaves_no_half_file(tmp_path: Path) -> None:
    """The system refuses in the middle of a file."""
    spool = Spool("http://a:1", "default", root=tmp_path)
    spool.put([line(0)])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            spool.put([b"x" * 20_000])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)

    assert len(files(tmp_path, "")) == spool.count() == 1


def test_without_a_spool_nothing_is_written(cable: Cable, spool: Path) -> None:
    """GIMBAL_SPOOL_BYTES=0 says so; a value that is no number is told and not taken."""
    cable.pull()
    off = ran(cable.url, spool, "1", GIMBAL_SPOOL_BYTES="0")
    odd = ran(cable.url, spool, "1", GIMBAL_SPOOL_BYTES="lots")

    assert "2 spans were not sent and are lost" in off.stderr
    assert "GIMBAL_SPOOL_BYTES is no number of bytes: 'lots'" in odd.stderr
    assert held(cable.url, spool).count() == 2


def test_memory_is_bounded_and_what_overflows_goes_to_disk(
    cable: Cable, client: gimbal.Client, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that takes the connection and says nothing: the queue stays small, and every span arrives later."""
    monkeypatch.setattr(couriers, "MOST_WAITING_BYTES", 100_000)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        far = gimbal.Client(url, timeout=1)
        there = couriers.courier(far)
        seen = 0
        with gimbal.trace("much", client=far) as root:
            for i in range(400):
                with gimbal.span(f"part {i}") as part:
                    part.set(input="x" * 2000)
                seen = max(seen, sum(map(len, there.outbox.waiting())))
                until(lambda: not there.spilling)
        with pytest.raises(gimbal.GimbalError) as caught:
            gimbal.flush(far, patience=2)
        assert seen < 110_000
        assert "401 spans wait in " in caught.value.kept
        spooled = held(url, spool)
        assert spooled.count() == 401
    # The same spans, for the real server: as if its address had been the port's.
    spooled.folder.rename(held(cable.url, spool).folder)
    with gimbal.Client(cable.url) as near:
        gimbal.flush(near)
    found: list[Span] = client.traces.show(root.trace_id).spans
    assert len(found) == len({s.span_id for s in found}) == 401


def test_a_forked_child_sends_its_own(up: Running, client: gimbal.Client) -> None:
    """And not what its parent has queued; the trace goes on in it."""
    with gimbal.trace("parent", client=client) as root:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with gimbal.span("child"):
                    pass
                gimbal.flush(client)
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
    gimbal.flush(client)

    found = {s.name: s for s in client.traces.show(root.trace_id).spans}
    assert found["child"].parent_id == found["parent"].span_id
