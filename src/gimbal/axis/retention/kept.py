"""Texts that rooms keep in the catalog beside the columns: they go with a data class, and with the traces they were made of.

A room that keeps such declares a `Kept` in its `retained`.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.retention.files import marked_of, named_in
from gimbal.axis.retention.model import Tombstone
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.plugins import Registry


class Kept(Protocol):
    """What one room keeps in the catalog; what holds the texts is called a holder, by its id."""

    @property
    def data_class(self) -> str:
        """The name of the class with whose term the texts go."""
        ...

    async def expire(self, tx: AsyncConnection, project: str, upto: datetime) -> None:
        """Take out the texts of holders from before a moment."""
        ...

    async def traces(self, tx: AsyncConnection, project: str) -> Mapping[str, Collection[str]]:
        """Return by holder that still has texts the ids of the traces that they were made of."""
        ...

    async def remove(self, tx: AsyncConnection, project: str, holders: Collection[str]) -> None:
        """Take out the texts of these holders."""
        ...


KEPT: Registry[Kept] = Registry("kept_texts")


class KeptTexts:
    """Finds and removes what rooms keep in the catalog."""

    def __init__(self, catalog: Catalog, columns: Columns) -> None:
        self._catalog = catalog
        self._columns = columns

    async def expire(self, project: str, data_class: str, upto: datetime) -> None:
        """Remove what goes with the term of a class."""
        for name in KEPT:
            if KEPT.get(name).data_class == data_class:
                async with self._catalog.write() as tx:
                    await KEPT.get(name).expire(tx, project, upto)

    async def of(self, stone: Tombstone) -> dict[str, list[str]]:
        """Return by room what holds texts of traces that were erased with a user."""
        found: dict[str, list[str]] = {}
        for name, holders in (await self._all(stone.project)).items():
            gone = await marked_of(self._columns, stone, {one for traces in holders.values() for one in traces})
            theirs = [holder for holder, traces in holders.items() if not gone.isdisjoint(traces)]
            if theirs:
                found[name] = theirs
        return found

    async def count(self, project: str, traces: str, values: dict[str, Any]) -> dict[str, int]:
        """Return by room how many holders have texts of the traces that a query names."""
        found: dict[str, int] = {}
        for name, holders in (await self._all(project)).items():
            ids = {one for some in holders.values() for one in some}
            named = await named_in(self._columns, ids, traces, values)
            found[name] = sum(not named.isdisjoint(some) for some in holders.values())
        return found

    async def remove(self, stone: Tombstone) -> None:
        """Remove what was made of traces that were erased with a user."""
        for name, holders in (await self.of(stone)).items():
            async with self._catalog.write() as tx:
                await KEPT.get(name).remove(tx, stone.project, holders)

    async def _all(self, project: str) -> dict[str, Mapping[str, Collection[str]]]:
        async with self._catalog.read() as tx:
            return {name: await KEPT.get(name).traces(tx, project) for name in KEPT}
