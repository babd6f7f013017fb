"""The server is killed again and again while it decides on traces: what stays is what the policy keeps, whole."""

import random
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import msgspec
from tests.axis.traces import sampled, wire
from tests.axis.traces.sampled import Happened, traffic
from tests.flows.test_kill import Killable

from gimbal.axis.traces.sampling import SetSampling, randomness, threshold

KILLS, TRACES, SEED = 3, 1_000, 11
POLICY = SetSampling(tail_rate=0.1, slow_ms=sampled.SLOW_MS, costly_usd=sampled.COSTLY_USD, wait_s=10)
DECIDED_S = 60.0


def send(client: httpx.Client, happened: list[Happened]) -> None:
    """Send whole traces, so that each was complete whenever it was decided on."""
    for first in range(0, len(happened), 100):
        spans = [span for one in happened[first : first + 100] for span in one.spans()]
        body = wire.request(*spans).SerializeToString()
        client.post("/v1/traces", content=body, headers={"content-type": wire.PROTOBUF}).raise_for_status()


def all_traces(client: httpx.Client) -> dict[str, tuple[int, float]]:
    """Return how many spans each listed trace has, and its weight."""
    found: dict[str, tuple[int, float]] = {}
    cursor = None
    while True:
        asked = {"limit": 1000} | ({"cursor": cursor} if cursor else {})
        page = client.get("/api/v1/projects/default/traces", params=asked).raise_for_status().json()
        found |= {row["trace_id"]: (row["spans"], round(row["weight"], 6)) for row in page["items"]}
        cursor = page["next"]
        if cursor is None:
            return found


def test_killed_while_it_decides(tmp_path: Path) -> None:
    """Kills at any moment of the decisions; in the end every trace is as if there had been none."""
    chance = random.Random(SEED)
    happened = traffic(KILLS * TRACES, seed=SEED)
    server = Killable(tmp_path / "data")
    server.start()
    base = f"http://127.0.0.1:{server.port}"
    sampling = "/api/v1/projects/default/traces/sampling"
    with httpx.Client(base_url=base, timeout=30) as client:
        client.put(sampling, json=msgspec.to_builtins(POLICY)).raise_for_status()
    for number in range(KILLS):
        with httpx.Client(base_url=base, timeout=30) as client:
            send(client, happened[number * TRACES : (number + 1) * TRACES])
            until = time.monotonic() + 0.8 + 2.5 * chance.random()
            while time.monotonic() < until:
                client.get(sampling)
        server.kill()
        server.start()
    last = datetime.now(UTC)
    with httpx.Client(base_url=base, timeout=30) as client:
        deadline = time.monotonic() + DECIDED_S
        while datetime.fromisoformat(client.get(sampling).json()["decided_until"]) < last:
            assert time.monotonic() < deadline, "the decisions stand still"
        found = all_traces(client)

    expected = {
        one.id: (1 + one.calls, 1.0 if one.stays else 10.0)
        for one in happened
        if one.stays or randomness(one.id) >= threshold(0.1)
    }
    assert found == expected
    assert server.stop() == 0
