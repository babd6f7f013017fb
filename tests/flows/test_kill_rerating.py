"""The worker is killed again and again while it prices history anew, and the server once: nothing twice, totals right."""

import os
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.axis.traces import wire
from tests.flows.test_kill import Killable

CALLS, BATCH = 30_000, 2_000
KILLS = 2
DONE_S = 120.0
SENT_S = 60.0
MODEL = "house-model"
PRICE = {"provider": "openai", "model": MODEL, "unusual": True}


class Worker:
    """A worker of that server, which the test kills."""

    def __init__(self, server: Killable) -> None:
        self._environment = server._environment
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gimbal.faces.server.process", "worker"],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait(10)


def sent(client: httpx.Client) -> None:
    """Send calls of a million tokens each, so that every cost is the price itself."""
    usage = {"gen_ai.usage.input_tokens": 1_000_000, "gen_ai.usage.output_tokens": 0}
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": MODEL,
    } | usage
    for _ in range(0, CALLS, BATCH):
        spans = [wire.span(wire.trace_id(), 1, attributes=attributes) for _ in range(BATCH)]
        body = wire.request(*spans).SerializeToString()
        client.post("/v1/traces", content=body, headers={"content-type": wire.PROTOBUF}).raise_for_status()


def priced(client: httpx.Client, amount: str, since: str) -> None:
    """Set what the project pays."""
    body = PRICE | {"input": amount, "output": amount, "valid_from": since}
    client.post("/api/v1/projects/default/prices", json=body).raise_for_status()


def shown(client: httpx.Client, rerating: str) -> dict[str, Any]:
    """Return how far it is."""
    return client.get(f"/api/v1/projects/default/pricing/reratings/{rerating}").raise_for_status().json()


def job_of(client: httpx.Client, rerating: dict[str, Any]) -> dict[str, Any]:
    """Return what went wrong with its job."""
    return client.get(f"/api/v1/projects/default/jobs/{rerating['job_id']}").raise_for_status().json()["error"]


@pytest.mark.slow
def test_killed_while_it_prices_anew(tmp_path: Path) -> None:
    """Each call changes once, from the old figure to the new one, whatever dies in between."""
    server = Killable(tmp_path / "data")
    server.start()
    base = f"http://127.0.0.1:{server.port}"
    with httpx.Client(base_url=base, timeout=60) as client:
        priced(client, "2", "2020-01-01")
        sent(client)
        priced(client, "3", "2021-01-01")
        asked = {"from": "2025-01-01T00:00:00Z", "reason": "the contract says three"}
        begun = client.post("/api/v1/projects/default/pricing/reratings", json=asked).raise_for_status().json()
        worker = Worker(server)
        changed, kills, deadline = 0, 0, time.monotonic() + DONE_S
        while (now := shown(client, begun["id"]))["status"] != "succeeded":
            assert now["status"] in {"queued", "running", "parked"}, job_of(client, now)
            assert time.monotonic() < deadline, now
            if now["changed"] > changed and kills < KILLS:
                # Somewhere in a page: between what it writes down and what it changes, or in either.
                changed, kills = now["changed"], kills + 1
                worker.kill()
                if kills == KILLS:
                    server.kill()
                    server.start()
                worker.start()
        totals = client.get("/api/v1/projects/default/ledger/totals").raise_for_status().json()["total"]
        changes: set[tuple[str, str, str]] = set()
        cursor, number = None, 0
        while True:
            page = client.get(
                "/api/v1/projects/default/ledger/changes",
                params={"rerating": begun["id"], "limit": 1000} | ({"cursor": cursor} if cursor else {}),
            ).json()
            changes |= {(one["span_id"] + one["trace_id"], one["old_cost"], one["new_cost"]) for one in page["items"]}
            number += len(page["items"])
            cursor = page["next"]
            if cursor is None:
                break
        again = client.post("/api/v1/projects/default/pricing/reratings", json=asked).raise_for_status().json()
        while (second := shown(client, again["id"]))["status"] != "succeeded":
            assert time.monotonic() < deadline + DONE_S, second
        worker.kill()

    assert kills == KILLS
    assert (
        now["seen"], now["changed"], now["old"], now["new"], now["kept"],
    ) == (CALLS, CALLS, f"{2 * CALLS}", f"{3 * CALLS}", 0)  # fmt: skip
    assert Decimal(totals["cost"]) == 3 * CALLS
    assert totals["calls"] == CALLS
    assert len(changes) == number == CALLS
    assert {("2", "3")} == {(old, new) for _, old, new in changes}
    assert (second["seen"], second["changed"]) == (CALLS, 0)
    assert server.stop() == 0
