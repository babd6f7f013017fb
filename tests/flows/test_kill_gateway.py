"""Every answered call has its record: the server is killed between answers, and what callers got is found afterwards, once."""

import random
from pathlib import Path

import httpx
import pytest
from tests.flows.test_kill import Killable

ROUNDS, SEED = 5, 11
BODY = {
    "model": "local/extractive",
    "messages": [
        {"role": "user", "content": "[1] a.md\nA gimbal keeps both rings level.\n\nQuestion: What does it keep level?"}
    ],
}


@pytest.mark.slow
def test_every_answered_call_is_recorded_exactly_once_after_kills(tmp_path: Path) -> None:
    """Whole and streamed; the kill comes right after an answer, before the store can have its record."""
    chance = random.Random(SEED)
    server = Killable(tmp_path / "data")
    server.start()
    answered: list[str] = []
    for _ in range(ROUNDS):
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as client:
            for _ in range(chance.randint(1, 8)):
                stream = chance.random() < 0.5
                reply = client.post("/v1/chat/completions", json={**BODY, "stream": stream}).raise_for_status()
                assert not stream or "data: [DONE]" in reply.text
                answered.append(reply.headers["x-gimbal-trace-id"])
        server.kill()
        server.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as client:
        for trace_id in answered:
            spans = client.get(f"/api/v1/projects/default/traces/{trace_id}").raise_for_status().json()["spans"]
            assert [(span["kind"], span["status"]) for span in spans] == [("llm", "ok")]
    assert len(set(answered)) == len(answered)
    assert server.stop() == 0
    assert list((tmp_path / "data" / "journal").glob("*/*.records")) == [], "nothing waits any more"
