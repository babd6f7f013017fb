"""Ten minutes of more than can be written: nothing that was acknowledged is lost, nothing is there twice.

Runs only when it is named. Senders come again after the time in Retry-After, with the same spans, until they are taken.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Iterator

from bench import load
from bench.bar import Figure, gimbal_up
from bench.columns import server_columns

SECONDS, SENDERS, BATCH = 600.0, 24, 100
# A queue that these senders fill.
SMALL = {"GIMBAL_WRITER_MAX_QUEUED_ROWS": "1000", "GIMBAL_WRITER_MAX_BATCH_ROWS": "500"}


def figures() -> Iterator[Figure]:
    """Soak, count, compare."""
    with gimbal_up(**SMALL) as running:
        port = int(running.url.rpartition(":")[2])
        done = load.drive(SENDERS, port, _batches(), until=time.monotonic() + SECONDS)
        found = asyncio.run(_stored(running.url))
    acknowledged = [pair for batch in done.acknowledged for pair in batch]
    told = ", ".join(f"{count:,} × {status or 'broken'}" for status, count in sorted(done.answers.items()))
    print(f"      {len(acknowledged):,} spans acknowledged in {done.seconds:.0f} s: {told}", flush=True)
    lost, more = len(set(acknowledged) - set(found)), len(found) - len(set(found))
    for what, value in (
        ("acknowledged spans lost", lost), ("spans there twice", more),
        ("spans there that nobody was told of", len(set(found) - set(acknowledged))),
        ("refusals without Retry-After", done.without_retry_after),
    ):  # fmt: skip
        yield Figure(what, value, "", 0, "none")


def _batches() -> Iterator[load.Batch]:
    """Yield batches without an end; some are sent again although they were taken, as a retry after a lost answer is."""
    chance, last = random.Random(7), load.batch(BATCH)
    for number in itertools.count():
        if chance.random() >= 0.02:
            last = load.batch(BATCH, seed=number)
        yield last


async def _stored(url: str) -> list[tuple[str, str]]:
    """Return every span once the engine has merged what it takes for the same."""
    columns = await server_columns(url)
    table = await columns.arrow("SELECT trace_id, span_id FROM spans FINAL")
    await columns.close()
    return list(zip(table["trace_id"].to_pylist(), table["span_id"].to_pylist(), strict=True))
