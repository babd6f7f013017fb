"""Many keys as one parameter: the same rows as by a list, by the table's key and not by a look at every row."""

import random
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.engines.storage.among import Among
from gimbal.engines.storage.catalog import Catalog

_NUMBERS = sa.Table(
    "numbers",
    sa.MetaData(),
    sa.Column("key", sa.BigInteger, primary_key=True, autoincrement=False),
    prefixes=["TEMPORARY"],
)
_KEY = _NUMBERS.c.key
_FOUND = sa.select(_KEY).where(Among(_KEY)).order_by(_KEY)
_ROWS = 4000


@pytest.fixture
async def numbers(catalog: Catalog) -> AsyncIterator[AsyncConnection]:
    """Give a transaction that has a table of every third number."""
    async with catalog.write() as tx:
        await tx.run_sync(_NUMBERS.create)
        await tx.execute(sa.insert(_NUMBERS), [{"key": 3 * place} for place in range(_ROWS)])
        yield tx


@pytest.mark.parametrize("many", [0, 1, 7, 3000])
async def test_same_rows_as_by_a_list(numbers: AsyncConnection, many: int) -> None:
    """However many there are; a key twice and one that nobody has change nothing."""
    keys = random.Random(many).sample(range(3 * _ROWS), many)

    by_list = (await numbers.execute(sa.select(_KEY).where(_KEY.in_(keys)).order_by(_KEY))).scalars().all()
    found = (await numbers.execute(_FOUND, {"keys": [*keys, *keys[:3], 2**62, -1]})).scalars().all()

    assert found == by_list == sorted(key for key in keys if key % 3 == 0)


async def test_beside_other_conditions(numbers: AsyncConnection) -> None:
    """Joined and negated as conditions are."""
    among = Among(_KEY)
    query = sa.select(_KEY).where(~among, sa.or_(_KEY < 10, among)).order_by(_KEY)

    found = (await numbers.execute(query, {"keys": [0, 3, 12]})).scalars().all()

    assert found == [6, 9]


async def test_rows_are_looked_up(numbers: AsyncConnection) -> None:
    """By the key that they have: a condition that is asked of every row takes seconds in a large table."""
    if numbers.dialect.name == "sqlite":
        words = f"EXPLAIN QUERY PLAN {_FOUND.compile(dialect=sqlite.dialect())}"
        said = (await numbers.exec_driver_sql(words, ("[1, 2]",))).all()
        assert any(row[3].startswith("SEARCH numbers") for row in said), said
    else:
        await numbers.exec_driver_sql("ANALYZE numbers")
        words = str(_FOUND.compile(dialect=numbers.dialect)).replace("%(keys)s", "ARRAY[1, 2]")
        said = (await numbers.exec_driver_sql(f"EXPLAIN {words}")).all()
        assert any("Index" in row[0] for row in said), said


def test_its_words_are_the_same_for_every_list() -> None:
    """Else an engine would plan anew what it knows."""
    words = {str(_FOUND.params(keys=[*range(many)]).compile(dialect=sqlite.dialect())) for many in (1, 50)}

    assert len(words) == 1
