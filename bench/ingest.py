"""OTLP ingest beside its peers: spans per second that are acknowledged and durable, and where our time goes.

Batches of 500 spans of 2 KB with 15 `gen_ai` attributes, on two cores, the senders among them. `stored` is what each
server says it has, asked after the load until it no longer grows; the rate is over the time until then. The peers are
installed from the package registry on the first run: this bar needs a network, and runs only when it is named.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Callable, Iterator

import psutil

from bench import load, peers
from bench.bar import Figure, Running, gimbal_up
from bench.columns import server_columns
from bench.stages import Alone, measure

BATCH, SENDERS, ROUNDS, PER_ROUND = 500, 8, 3, 80
PEER_LOAD_S, SETTLE_S = 8.0, 40.0
BAR, BARS = 10_000, ((peers.MLFLOW, 20), (peers.PHOENIX, 50))
_WARM = 12


def figures() -> Iterator[Figure]:
    """Measure the engine alone, ourselves, our stages, and every peer that can be had."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(cores)[:2])
    try:
        yield from _figures()
    finally:
        os.sched_setaffinity(0, cores)


def _figures() -> Iterator[Figure]:
    alone = measure()
    ours, server_us = sustained()
    yield _more(f"spans/s acknowledged durable, batch {BATCH}, {SENDERS} senders", ours, BAR, f"{BAR:,}/s")
    yield from _limits(alone, ours, server_us)
    for peer, times in BARS:
        try:
            theirs, told = beside(peer)
        except peers.PeerMissing as reason:
            print(f"----  {peer.name} {peers.version(peer)} cannot be had here: {reason}", flush=True)
            continue
        print(f"      {peer.name} {peers.version(peer)}: {told}", flush=True)
        what = f"  times {peer.name}'s {theirs:,.0f} durable spans/s"
        yield _more(what, ours / theirs, times, f"{times} times")._replace(unit="×")


def _limits(alone: Alone, ours: float, server_us: float) -> Iterator[Figure]:
    """Tell what the engine does alone, and where the CPU goes."""
    for rows, limit in ((BATCH, alone.few), (10 * BATCH, alone.many)):
        told = f"chDB alone, ready rows, {rows:,} a commit ({limit:,.0f}/s)"
        yield _more("  the same", ours, limit, told)._replace(physical=True)
    whole = sum(alone.cpu_us.values())
    for stage, cpu_us in alone.cpu_us.items():
        yield Figure(f"  CPU a span: {stage}", cpu_us, "µs", whole, f"all stages ({whole:,.0f} µs)", physical=True)
    # What a compiled decoder could give at the very most: one that takes no time at all.
    free = ours * server_us / (server_us - alone.cpu_us["decode"])
    told = f"what decoding for nothing would give, at most ({free:,.0f}/s)"
    yield _more("  the same", ours, free, told)._replace(physical=True)
    told = "the stages by themselves, one batch a commit"
    yield Figure("  CPU a span: every process, under load", server_us, "µs", whole, told, physical=True)


def _more(what: str, value: float, bar: float, against: str) -> Figure:
    return Figure(what, value, "/s", bar, against, lower_is_better=False)


def sustained() -> tuple[float, float]:
    """Return the median rate of several rounds and the server's CPU microseconds a span; all of it is there after each."""
    rates: list[float] = []
    cpu_us: list[float] = []
    with gimbal_up() as running:
        port = int(running.url.rpartition(":")[2])
        load.drive(SENDERS, port, [load.batch(BATCH) for _ in range(_WARM)])
        sent = _WARM * BATCH
        for _ in range(ROUNDS):
            batches = [load.batch(BATCH) for _ in range(PER_ROUND)]
            before = _cpu(running)
            done = load.drive(SENDERS, port, batches)
            cpu_us.append((_cpu(running) - before) * 1e6 / (len(done.acknowledged) * BATCH))
            rates.append(len(done.acknowledged) * BATCH / done.seconds)
            sent += len(done.acknowledged) * BATCH
            found = asyncio.run(_ours_stored(running.url))
            assert found == sent, f"{sent} spans acknowledged, {found} there"
    return statistics.median(rates), statistics.median(cpu_us)


def _cpu(running: Running) -> float:
    """Return the CPU seconds of the installation's processes so far."""
    return sum(sum(p.cpu_times()[:2]) for p in psutil.Process(running.process.pid).children())


async def _ours_stored(url: str) -> int:
    columns = await server_columns(url)
    rows = await columns.query("SELECT uniqExact(trace_id, span_id) AS n FROM spans")
    await columns.close()
    return int(rows[0]["n"])


def beside(peer: peers.Peer) -> tuple[float, str]:
    """Return the durable spans per second of a peer, the better of one and of eight senders, and what it said."""
    best: tuple[float, str] = (0.0, "")
    with peers.running(peer) as there:
        # The first requests of each of its processes load modules: not counted.
        for _ in range(_WARM):
            load.drive(1, there.port, [load.batch(BATCH)], headers=peer.headers)
        _settled(there.stored)
        for senders in (1, SENDERS):
            batches = [load.batch(BATCH) for _ in range(PER_ROUND)]
            before = there.stored()
            started = time.monotonic()
            done = load.drive(
                senders, there.port, batches, until=time.monotonic() + PEER_LOAD_S, headers=peer.headers, patience=0
            )
            stored, at = _settled(there.stored)
            rate = (stored - before) / (at - started)
            accepted = len(done.acknowledged) * BATCH
            told = (
                f"{senders} sender{'s' * (senders > 1)}: {accepted:,} accepted in {done.seconds:.1f} s "
                f"({dict(done.answers)}), {stored - before:,} more stored than before after {at - started:.1f} s"
            )
            best = max(best, (rate, told))
    return best


def _settled(count: Callable[[], int]) -> tuple[int, float]:
    """Ask until the count has not grown for some seconds or the time is over; return it and when it was reached."""
    deadline = time.monotonic() + SETTLE_S
    # Counting takes a peer seconds: what it finds was there when it was asked.
    at = time.monotonic()
    found, grown = count(), time.monotonic()
    while time.monotonic() < deadline and time.monotonic() - grown < 6:
        time.sleep(1)
        asked = time.monotonic()
        now = count()
        if now > found:
            found, at, grown = now, asked, time.monotonic()
    return found, at
