"""Answers of earlier runs to the same content: taken instead of asking again.

What names an answer is all that it depends on: the target's identity, the input, and which repeat it is. A repeat is never
taken from another one: repeats are there to differ.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import blake3
import msgspec

from gimbal.axis.evals.model import Example
from gimbal.axis.evals.results import COLUMNS, TABLE, WRITTEN, Ask, from_row, output_of
from gimbal.axis.evals.target import TargetOutput
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context

_AT_ONCE = 500
"""Answers that are looked up together."""
_encoder = msgspec.json.Encoder(order="deterministic", enc_hook=str)


def key_of(identity: str, example: Example, repeat: int) -> str:
    """Return the name of an answer's content."""
    return blake3.blake3(_encoder.encode([identity, example.input, repeat])).hexdigest()[:32]


class Recall:
    """Looks answers up in the order in which they are asked for, many at once."""

    def __init__(self, ctx: Context, identity: str, asks: Sequence[Ask]) -> None:
        self._columns = ctx.get(Columns)
        self._project = ctx.project or "default"
        self._identity = identity
        self._keys = {(ask.example.id, ask.repeat): key_of(identity, ask.example, ask.repeat) for ask in asks}
        self._order = list(self._keys.values())
        self._places = {key: place for place, key in enumerate(self._order)}
        self._parts: dict[int, asyncio.Task[dict[str, TargetOutput]]] = {}

    def key(self, ask: Ask) -> str:
        """Return the name of the content that is asked for."""
        return self._keys[ask.example.id, ask.repeat]

    async def find(self, ask: Ask) -> TargetOutput | None:
        """Return the answer of an earlier run, the newest; None where there is none."""
        key = self.key(ask)
        part = self._places[key] // _AT_ONCE
        if part not in self._parts:
            keys = self._order[part * _AT_ONCE : (part + 1) * _AT_ONCE]
            self._parts[part] = asyncio.create_task(self._of(keys))
        return (await self._parts[part]).get(key)

    async def _of(self, keys: Sequence[str]) -> dict[str, TargetOutput]:
        rows = await self._columns.query(
            f"SELECT cache_key, {COLUMNS} FROM {TABLE} WHERE project = {{project:String}} "
            f"AND cache_key IN {{keys:Array(String)}} AND error = '' ORDER BY {WRITTEN}",
            {"project": self._project, "keys": list(keys)},
        )
        return {row["cache_key"]: output_of(from_row(_without_key(row))) for row in rows}

    async def count(self) -> int:
        """Return how many of all the answers are known."""
        found = 0
        for start in range(0, len(self._order), 10_000):
            rows = await self._columns.query(
                f"SELECT uniqExact(cache_key) AS found FROM {TABLE} WHERE project = {{project:String}} "
                "AND cache_key IN {keys:Array(String)} AND error = ''",
                {"project": self._project, "keys": self._order[start : start + 10_000]},
            )
            found += int(rows[0]["found"])
        return found


def _without_key(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "cache_key"}
