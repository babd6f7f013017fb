"""Changing stored rows for good: a mutation rewrites the parts that hold them, and the old parts leave the disk.

ClickHouse writes new parts without the rows, then takes the old ones away from every query at once, then removes them from
the disk in the background. `rewrite` returns after the second, `wait_gone` after the third. A mutation is noted on the disk
before it begins, so one that a kill interrupted goes on when the engine starts again.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from gimbal.axis.retention.model import TableProof
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.clock import Clock, SystemClock
from gimbal.kernel.errors import Unavailable

_POLL_S = 0.1
_ROUNDS = 20
_TABLE = "database = currentDatabase() AND table = {table:String}"


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """A table before something of it goes."""

    rows: int
    """That the condition fits."""
    bytes: int
    parts: list[str]


class Rewriting:
    """Mutations of the columns, and what became of the parts."""

    def __init__(self, columns: Columns, clock: Clock | None = None) -> None:
        self._columns = columns
        self._clock = clock or SystemClock()

    async def tables(self) -> set[str]:
        """Return the tables that there are."""
        rows = await self._columns.query("SELECT name FROM system.tables WHERE database = currentDatabase()")
        return {row["name"] for row in rows}

    async def columns_of(self, table: str) -> dict[str, str]:
        """Return the columns of a table with their types, in their order."""
        rows = await self._columns.query(
            f"SELECT name, type FROM system.columns WHERE {_TABLE} ORDER BY position", {"table": table}
        )
        return {row["name"]: row["type"] for row in rows}

    async def count(self, table: str, condition: str, values: Mapping[str, Any]) -> int:
        """Return how many stored rows a condition fits, all versions counted."""
        rows = await self._columns.query(f"SELECT count() AS n FROM `{table}` WHERE {condition}", values)
        return int(rows[0]["n"])

    async def before(self, table: str, condition: str, values: Mapping[str, Any]) -> Before:
        """Return how a table stands before something of it goes; whoever goes on after a kill needs it again."""
        return Before(
            rows=await self.count(table, condition, values),
            bytes=await self._bytes(table),
            parts=sorted(await self._parts(table)),
        )

    async def rewrite(
        self, table: str, change: str, condition: str, values: Mapping[str, Any], before: Before
    ) -> TableProof:
        """Change the rows that a condition fits until it fits none, new ones that come meanwhile included.

        `change` is `DELETE` or an `UPDATE …` after which the condition no longer fits. Raise Unavailable when the engine
        cannot; what it had done by then stays done.
        """
        left, old = await self.count(table, condition, values), set(before.parts if before.rows else ())
        for _ in range(_ROUNDS):
            if not left:
                break
            old |= await self._parts(table)
            await self._columns.command_aside(f"ALTER TABLE `{table}` {change} WHERE {condition}", values)
            await self._finished(table)
            left = await self.count(table, condition, values)
        if left:
            raise Unavailable(
                f"{table} gets new rows of this kind faster than they are taken out.",
                kept=f"{left} rows",
                todo="Stop their sender, then run it again.",
            )
        return TableProof(
            table=table,
            rows_before=before.rows,
            rows_after=left,
            bytes_before=before.bytes,
            bytes_after=await self._bytes(table),
            parts=sorted(old - await self._parts(table)),
            invisible_at=self._clock.now() if before.rows else None,
            gone_at=None,
        )

    async def wait_gone(self, proof: TableProof, timeout_s: float) -> TableProof:
        """Return the proof with the moment at which no old part is on the disk; without it when that takes longer."""
        if not proof.parts:
            return proof
        until = time.monotonic() + timeout_s
        while True:
            if not await self.parts_left(proof):
                return msgspec.structs.replace(
                    proof, gone_at=self._clock.now(), bytes_after=await self._bytes(proof.table)
                )
            if time.monotonic() >= until:
                return proof
            await asyncio.sleep(_POLL_S * 5)

    async def parts_left(self, proof: TableProof) -> list[str]:
        """Return those of the old parts that the engine still has on the disk."""
        rows = await self._columns.query(
            f"SELECT name FROM system.parts WHERE {_TABLE} AND name IN {{names:Array(String)}} ORDER BY name",
            {"table": proof.table, "names": proof.parts},
        )
        return [row["name"] for row in rows]

    async def _finished(self, table: str) -> None:
        """Wait until no mutation of a table is under way; raise Unavailable when one fails."""
        query = f"SELECT latest_fail_reason AS why FROM system.mutations WHERE {_TABLE} AND NOT is_done"
        while rows := await self._columns.query(query, {"table": table}):
            if failed := next((row["why"] for row in rows if row["why"]), ""):
                raise Unavailable(
                    f"{table} cannot be rewritten: {failed[:300]}.",
                    kept="the rows, until the engine succeeds: it goes on trying",
                    todo="Make room on the disk of the columns, then run it again.",
                )
            await asyncio.sleep(_POLL_S)

    async def _parts(self, table: str) -> set[str]:
        rows = await self._columns.query(f"SELECT name FROM system.parts WHERE {_TABLE} AND active", {"table": table})
        return {row["name"] for row in rows}

    async def _bytes(self, table: str) -> int:
        rows = await self._columns.query(
            f"SELECT sum(bytes_on_disk) AS n FROM system.parts WHERE {_TABLE}", {"table": table}
        )
        return int(rows[0]["n"])
