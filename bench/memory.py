"""Memory of the server while five times as much is sent as it can write: bounded, and every refusal says when to return.

The senders do not wait for each other's answers, as many applications do not know of one another; how much they bring
about depends on the machine, and is printed.
"""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator

import psutil

from bench import load
from bench.bar import Figure, gimbal_up

BATCH, TIMES, LOAD_S, SENDERS = 500, 5, 12.0, 400
# What the writer's queue may hold by default, and as much again for what is being read.
MOST_MB = 1024
# The queue is small here, so that it is full while most of the load is still to come.
SMALL = {"GIMBAL_WRITER_MAX_QUEUED_ROWS": "2000", "GIMBAL_WRITER_MAX_BATCH_ROWS": "1000"}


def figures() -> Iterator[Figure]:
    """Learn how much can be written, send five times that, and watch the server."""
    bodies = [load.batch(BATCH) for _ in range(40)]
    with gimbal_up(**SMALL) as running:
        port = int(running.url.rpartition(":")[2])
        load.drive(2, port, bodies)
        known = load.drive(2, port, bodies)
        rate = len(bodies) * BATCH / known.seconds
        server = max(psutil.Process(running.process.pid).children(), key=lambda p: p.memory_info().rss)
        before = server.memory_info().rss
        answers, silent, most = _flood(port, bodies, TIMES * rate / BATCH, server)
    offered = sum(answers.values()) * BATCH / LOAD_S
    told = ", ".join(f"{count} × {status or 'broken'}" for status, count in sorted(answers.items()))
    print(f"      {offered:,.0f} spans/s offered, {rate:,.0f}/s can be written: {told}; {silent} without Retry-After")
    yield Figure(
        f"server RSS growth, {offered / rate:.1f} times what it can write",
        (most - before) / 2**20,
        "MB",
        MOST_MB,
        f"{MOST_MB} MB",
    )
    refusals = sum(count for status, count in answers.items() if status != 200)
    fit = sum(answers[status] for status in (429, 503)) - silent
    if refusals:
        yield Figure(
            "refusals by 429 or 503 with Retry-After", fit / refusals * 100, "%", 100, "all", lower_is_better=False
        )


def _flood(
    port: int, bodies: list[load.Batch], per_second: float, server: psutil.Process
) -> tuple[Counter[int], int, int]:
    """Send so many requests a second without waiting for answers; return the answers and the most memory in bytes."""
    answers: Counter[int] = Counter()
    lock, turns, begun = threading.Lock(), itertools.count(), time.monotonic()
    silent, most = 0, 0

    def work() -> None:
        nonlocal silent
        sender = load.Sender(port)
        while True:
            turn = next(turns)
            due = begun + turn / per_second
            if due > begun + LOAD_S or time.monotonic() > begun + LOAD_S:
                break
            time.sleep(max(0.0, due - time.monotonic()))
            answer = sender.send(bodies[turn % len(bodies)].body)
            with lock:
                answers[answer.status] += 1
                silent += answer.status in {429, 503} and not answer.retry_after
        sender.close()

    threads = [threading.Thread(target=work) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        most = max(most, server.memory_info().rss)
        time.sleep(0.05)
    return answers, silent, most
