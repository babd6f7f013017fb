"""Questions to a month of a million spans: pages within 150 ms, sums and full text within 300 ms, at the 95th percentile.

`growth` asks the same of a hundred thousand and of ten million, and says what a span takes on disk.
"""

import asyncio
import random
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from bench import corpus
from bench.bar import Figure, gimbal_up
from bench.columns import server_columns

SPANS = 1_000_000
_TIMES = 21
_PAGE, _SUMS = 150, 300
_SETTLED_S = 300
# Words by how frequent they are: in most spans, in one of some hundred, in one alone, in none.
_WORDS = corpus.vocabulary()
QUESTIONS = (
    ("list", "traces", {}, _PAGE),
    ("list of failed", "traces", {"status": "error"}, _PAGE),
    ("list of a user", "traces", {"user": "u{}"}, _PAGE),
    ("trace by id", "traces/{trace}", {}, _PAGE),
    ("list by cost", "traces", {"sort": "cost"}, _SUMS),
    ("aggregate by model and hour", "traces/aggregate", {"group": "model", "every": "hour"}, _SUMS),
    ("aggregate by feature and model", "traces/aggregate", {"group": ["feature", "model"]}, _SUMS),
    ("text search, in most", "traces", {"search": _WORDS[20]}, _SUMS),
    ("text search, in some", "traces", {"search": _WORDS[9000]}, _SUMS),
    ("text search, in one", "traces", {"search": "order{order}"}, _SUMS),
    ("text search, in none", "traces", {"search": "nowhere{}"}, _SUMS),
)


def figures() -> Iterator[Figure]:
    """Fill a server through its own columns and time what it answers."""
    yield from asked_of(SPANS, bars=True)


def asked_of(spans: int, *, bars: bool) -> Iterator[Figure]:
    """Fill a server with a month of so many spans; time each question, and tell what a span takes."""
    with TemporaryDirectory(prefix="gimbal-bench-") as folder, gimbal_up(Path(folder) / "data") as running:
        corpus.fill(running.url, spans)
        sizes = asyncio.run(_settled(running.url))
        yield Figure(
            f"disk, of {spans:,} spans", sizes["disk"] / spans, "B", sizes["raw"] / spans, "its values", physical=True
        )
        yield Figure("  the index of words", sizes["words"] / spans, "B", sizes["disk"] / spans, "all", physical=True)
        chance = random.Random(0)
        with httpx.Client(base_url=f"{running.url}/api/v1/projects/default/", timeout=120) as client:
            for name, path, asked, bar in QUESTIONS:
                times = [_seconds(client, spans, chance, path, asked) for _ in range(_TIMES + 1)][1:]
                p95 = sorted(times)[round(0.95 * _TIMES) - 1] * 1000
                told = f"{bar} ms" if bars else f"{bar} ms, the bar of {SPANS:,}"
                yield Figure(f"{name} with {spans:,} spans, p95", p95, "ms", bar, told, physical=not bars)


def _seconds(client: httpx.Client, spans: int, chance: random.Random, path: str, asked: dict[str, object]) -> float:
    """Return how long an answer takes; another trace, user and word each time: what is remembered is not what it takes."""
    here = {"trace": f"{chance.randrange(spans // corpus.PER_TRACE) + 1:032x}", "order": chance.randrange(spans)}
    number = chance.randrange(5000)
    given = {k: v.format(number, **here) if isinstance(v, str) else v for k, v in asked.items()}
    started = time.perf_counter()
    client.get(path.format(**here), params=given).raise_for_status()
    return time.perf_counter() - started


async def _settled(url: str) -> dict[str, int]:
    """Wait until nothing is merged any more, for some minutes at most; return bytes on disk, of the values and the words."""
    columns = await server_columns(url)
    deadline = time.monotonic() + _SETTLED_S
    while time.monotonic() < deadline:
        if not (await columns.query("SELECT count() AS n FROM system.merges"))[0]["n"]:
            break
        await asyncio.sleep(0.5)
    rows = await columns.query(
        "SELECT sum(bytes_on_disk) AS disk, sum(data_uncompressed_bytes) AS raw, "
        "sum(secondary_indices_compressed_bytes) AS words FROM system.parts WHERE table = 'spans' AND active"
    )
    await columns.close()
    return {name: int(value) for name, value in rows[0].items()}
