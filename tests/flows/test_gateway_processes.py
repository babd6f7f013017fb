"""Processes that answer model calls alone, beside the server: one port for all of them, and no record lost when one dies."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import openai
import psutil
import pytest
from bench.bar import Running, free_port, gimbal_up

from gimbal.faces.server.wakefulness import DEVICE, refusal

PROCESSES, KILLS, WAKE_US = 2, 4, 1000
QUESTION = "[1] a.md\nA gimbal keeps both rings level.\n\nQuestion: What does it keep level?"


def until(what: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def gateways(up: Running) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for child in psutil.Process(up.process.pid).children():
        with contextlib.suppress(psutil.Error):  # it has just died
            found += [child] if child.cmdline()[-1:] == ["gateway"] else []
    return found


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, str]]:
    """Run an installation with two gateway processes, and their address."""
    folder: Path = tmp_path_factory.mktemp("gateways")
    port = free_port()
    with gimbal_up(
        folder / "data",
        GIMBAL_GATEWAY_PROCESSES=str(PROCESSES),
        GIMBAL_GATEWAY_PORT=str(port),
        GIMBAL_GATEWAY_WAKE_US=str(WAKE_US),
    ) as running:
        url = f"http://127.0.0.1:{port}"
        until(lambda: len(gateways(running)) == PROCESSES and ready(url))
        yield running, url


def ask(url: str, **more: object) -> httpx.Response:
    body = {"model": "local/extractive", "messages": [{"role": "user", "content": QUESTION}], **more}
    return httpx.post(f"{url}/v1/chat/completions", json=body, timeout=30)


def spans(up: Running, trace_id: str) -> list[dict[str, object]]:
    reply = httpx.get(f"{up.url}/api/v1/projects/default/traces/{trace_id}", timeout=30)
    return reply.json()["spans"] if reply.is_success else []


def test_an_sdk_works_by_their_address_and_the_server_has_the_trace_at_once(up: tuple[Running, str]) -> None:
    running, url = up
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
    messages = [{"role": "user", "content": QUESTION}]
    raw = client.chat.completions.with_raw_response.create(model="local/extractive", messages=messages)  # type: ignore[arg-type]
    stream = client.chat.completions.create(model="local/extractive", messages=messages, stream=True)  # type: ignore[call-overload]
    assert "both rings level" in "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    (span,) = spans(running, raw.headers["x-gimbal-trace-id"])
    assert (span["kind"], span["status"], span["model"]) == ("llm", "ok", "extractive")


def test_keys_and_providers_of_the_server_hold_there_within_a_second_or_so(up: tuple[Running, str]) -> None:
    running, url = up
    api = f"{running.url}/api/v1/projects/default"
    made = httpx.post(f"{api}/keys", json={"name": "there", "role": "developer"}, timeout=30).json()
    headers = {"authorization": f"Bearer {made['secret']}"}
    body = {"model": "local/extractive", "messages": [{"role": "user", "content": QUESTION}]}

    def status() -> int:
        return httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=30).status_code

    assert status() == 200
    httpx.delete(f"{api}/keys/{made['key']['id']}", timeout=30).raise_for_status()
    until(lambda: {status() for _ in range(4 * PROCESSES)} == {401}, 10)


@pytest.mark.skipif(bool(refusal()), reason="this machine's kernel is not asked by this user")
def test_each_asks_for_cores_that_wake_up(up: tuple[Running, str]) -> None:
    running, _ = up
    for process in gateways(running):
        found = set[Path]()
        for file in Path(f"/proc/{process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # it has just been closed
                found.add(file.readlink())
        assert DEVICE in found


def test_only_doors_for_model_calls_are_there(up: tuple[Running, str]) -> None:
    _, url = up
    assert httpx.get(f"{url}/v1/models", timeout=30).json()["data"]
    assert "gimbal_http_requests_total" in httpx.get(f"{url}/metrics", timeout=30).text
    for path in ("/", "/p/default/traces", "/api/v1/projects"):
        reply = httpx.get(f"{url}{path}", timeout=30)
        assert reply.status_code == 404, path
        assert "model calls" in reply.json()["error"]["todo"], reply.text


def test_no_answered_call_is_lost_when_processes_are_killed(up: tuple[Running, str]) -> None:
    """Whole and streamed, right after an answer; each comes back, and every record is in the store once."""
    running, url = up
    answered: list[str] = []
    for number in range(KILLS):
        for stream in (False, True):
            reply = ask(url, stream=stream)
            assert reply.is_success
            assert not stream or "data: [DONE]" in reply.text
            answered.append(reply.headers["x-gimbal-trace-id"])
        victim = gateways(running)[number % PROCESSES]
        os.kill(victim.pid, signal.SIGKILL)
        until(lambda dead=victim.pid: dead not in [one.pid for one in gateways(running)])
        until(lambda: len(gateways(running)) == PROCESSES and ready(url), 60)
    for trace_id in answered:
        until(lambda one=trace_id: [span["status"] for span in spans(running, one)] == ["ok"])
    assert len(set(answered)) == len(answered)
