"""A request that is given up, or a job that is cancelled, in the middle of a transaction is in nobody's way."""

import asyncio
import contextlib
import random

import pytest
import sqlalchemy as sa

from gimbal.engines.storage.catalog import Catalog, metadata

SEED, ROUNDS = 5, 120
pairs = sa.Table(
    "cancelled_pairs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("other", sa.Integer, nullable=False),
)


@pytest.mark.parametrize("kind", ["write", "read"])
async def test_a_cancelled_transaction_keeps_nobody_out_and_leaves_no_half(catalog_address: str, kind: str) -> None:
    """Cancelled at chance moments, it is whole or not there, and the next writer does not wait for its remains."""
    # Longer than a slow disk takes for a commit that was under way; a lock that is left behind lasts longer.
    catalog = Catalog.open(catalog_address, busy_timeout_ms=2_000)
    chance = random.Random(SEED)

    async def write(number: int) -> None:
        async with catalog.write() as tx:
            await tx.execute(pairs.insert().values(id=2 * number, other=2 * number + 1))
            await tx.execute(sa.select(pairs).order_by(pairs.c.id.desc()).limit(1))
            await tx.execute(pairs.insert().values(id=2 * number + 1, other=2 * number))

    async def read() -> None:
        async with catalog.read() as tx:
            (await tx.execute(sa.select(pairs))).all()
            await tx.execute(sa.select(pairs).limit(1))

    for number in range(ROUNDS):
        task = asyncio.create_task(write(number) if kind == "write" else read())
        for _ in range(chance.randrange(30)):
            await asyncio.sleep(0)
        await asyncio.sleep(chance.random() * 0.003)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await write(ROUNDS + number)
    async with catalog.read() as tx:
        found = {row.id: row.other for row in await tx.execute(sa.select(pairs))}
    await catalog.close()

    assert {other: found.get(other) for other in found.values()} == {other: id_ for id_, other in found.items()}
    assert len(found) >= 2 * ROUNDS
