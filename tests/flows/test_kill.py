"""Acknowledged means durable: the server is killed twenty times in mid-stream, and nothing that it answered is lost."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import msgspec
import pytest
from bench.bar import free_port
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gimbal.faces.server.supervisor import Link
from gimbal.kernel.ids import new_span_id, new_trace_id
from gimbal.kernel.settings import load_settings

ROUNDS, BATCH, SEED = 20, 20, 7
READY_S = 30.0


class Killable:
    """A server process without a supervisor, so that the test decides when it dies and when it comes back."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        loaded = load_settings(flags={"data": str(folder), "server.port": self.port, "server.grpc_port": 0}, environ={})
        link = Link(columns_port=free_port(), token="test")
        self._environment = os.environ | {
            "GIMBAL_RESOLVED_SETTINGS": msgspec.json.encode(loaded.settings).decode(),
            "GIMBAL_LINK": msgspec.json.encode(link).decode(),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "gimbal.faces.server.process", "server"]
        self._process = subprocess.Popen(
            command, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + READY_S
        while not self._answers():
            assert self._process.poll() is None, "the server did not start"
            assert time.monotonic() < deadline, "the server did not come up"

    def _answers(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz", timeout=1).is_success
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait(10)

    def stop(self) -> int:
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(30)


def batch(number: int) -> tuple[bytes, list[tuple[str, str]]]:
    """Return an OTLP request and the ids of its spans; all are of one trace."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    trace_id = new_trace_id()
    ids = []
    for i in range(BATCH):
        span_id = new_span_id()
        start = time.time_ns()
        scope.spans.add(
            trace_id=bytes.fromhex(trace_id),
            span_id=bytes.fromhex(span_id),
            name=f"span {number}.{i}",
            start_time_unix_nano=start,
            end_time_unix_nano=start + 1_000_000,
        )
        ids.append((trace_id, span_id))
    return request.SerializeToString(), ids


@pytest.mark.slow
def test_every_acknowledged_span_is_there_exactly_once_after_twenty_kills(tmp_path: Path) -> None:
    """A client resends what was not answered; at the end each acknowledged span is there once, and only once."""
    chance = random.Random(SEED)
    server = Killable(tmp_path / "data")
    server.start()
    acknowledged: list[tuple[str, str]] = []
    unanswered: list[tuple[bytes, list[tuple[str, str]]]] = []
    number = 0
    headers = {"content-type": "application/x-protobuf"}
    for _ in range(ROUNDS):
        # The kill comes while a request is under way: some time after the last answer of this round.
        answered_before_the_kill = chance.randint(1, 12)
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers=headers, timeout=30) as client:
            for body, ids in unanswered:
                client.post("/v1/traces", content=body).raise_for_status()
                acknowledged += ids
            unanswered = []
            for _ in range(answered_before_the_kill):
                body, ids = batch(number)
                number += 1
                client.post("/v1/traces", content=body).raise_for_status()
                acknowledged += ids
            unanswered.append(killed_under(server, batch(number), chance, acknowledged))
            number += 1
            unanswered = [pair for pair in unanswered if pair[1]]
        server.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as client:
        found: list[tuple[str, str]] = []
        for trace_id in {trace for trace, _ in acknowledged}:
            reply = client.get(f"/api/v1/projects/default/traces/{trace_id}").raise_for_status().json()
            found += [(trace_id, span["span_id"]) for span in reply["spans"]]

    assert sorted(acknowledged) == sorted(found)
    assert len(acknowledged) == len(set(acknowledged))
    assert server.stop() == 0


def killed_under(
    server: Killable,
    pair: tuple[bytes, list[tuple[str, str]]],
    chance: random.Random,
    acknowledged: list[tuple[str, str]],
) -> tuple[bytes, list[tuple[str, str]]]:
    """Send a batch, kill the server somewhere on its way, and return the batch unless it was answered."""
    body, ids = pair
    with subprocess.Popen(
        [sys.executable, "-c", SENDER, str(server.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as sender:
        assert sender.stdin is not None
        assert sender.stdout is not None
        assert sender.stdout.readline() == b"connected\n"
        sender.stdin.write(body)
        sender.stdin.close()
        waiting = time.monotonic() + chance.random() * 0.08
        while time.monotonic() < waiting:
            pass
        server.kill()
        answer = sender.stdout.read()
    if b"200" in answer:
        acknowledged += ids
        return body, []
    return body, ids


# A client of its own, so that the request is under way while this process kills the server.
SENDER = """
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=20)
connection.connect()
print("connected", flush=True)
body = sys.stdin.buffer.read()
try:
    connection.request("POST", "/v1/traces", body, {"content-type": "application/x-protobuf"})
    print(connection.getresponse().status)
except OSError as problem:
    print("lost", problem)
except http.client.HTTPException as problem:
    print("lost", problem)
"""
