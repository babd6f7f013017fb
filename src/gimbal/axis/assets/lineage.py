"""Lineage: what a version was made from and what was made from it, as a graph both ways.

It walks the edges in `uses`, where versions, runs and other users stand beside each other: two queries per step,
however many things are at that distance.
"""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.assets.model import Edge, Lineage, Node
from gimbal.axis.assets.reading import AssetReader
from gimbal.axis.assets.store import uses
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context
from gimbal.kernel.refs import Ref

_MOST_NODES = 200
# A dataset may have been used by thousands of runs; the newest of each kind of user are shown.
_MOST_USERS = 20


class _Graph:
    """What has been found so far."""

    def __init__(self, root: str) -> None:
        self.nodes: dict[str, Node] = {root: _node(root)}
        self.edges: dict[tuple[str, str], Edge] = {}
        self.truncated = False

    def add(self, row: Any) -> list[str]:
        """Add what one row tells; return the nodes that are new."""
        user = row["user_id"] if row["user_kind"] == "version" else f"{row['user_kind']}:{row['user_id']}"
        source, target = (user, row["ref"]) if row["relation"] == "made" else (row["ref"], user)
        fresh = [name for name in (source, target) if name not in self.nodes]
        if len(self.nodes) + len(fresh) > _MOST_NODES:
            self.truncated = True
            return []
        self.nodes |= {name: _node(name) for name in fresh}
        self.edges.setdefault((source, target), Edge(source=source, target=target, relation=row["relation"]))
        return fresh


def _node(name: str) -> Node:
    kind, _, rest = name.partition(":")
    return Node(id=name, kind=kind, label=rest if _is_version(name) or len(rest) < 24 else f"{kind} {rest[-8:]}")


def _is_version(name: str) -> bool:
    return "@" in name


class LineageQuery:
    """Answers questions about the whole graph; `AssetReader` answers those about single versions."""

    def __init__(self, catalog: Catalog, reader: AssetReader) -> None:
        self._catalog = catalog
        self._reader = reader

    async def around(self, ctx: Context, ref: Ref, depth: int) -> Lineage:
        """Return the graph up to `depth` steps from the version that `ref` means."""
        root = str((await self._reader.resolve(ctx, ref)).ref)
        return await self.around_node(ctx, root, depth)

    async def around_node(self, ctx: Context, root: str, depth: int) -> Lineage:
        """Return the graph around any node: a version (`model:flights/delay@v3`) or a user (`run:<id>`)."""
        graph, front = _Graph(root), [root]
        async with self._catalog.read() as tx:
            for _ in range(depth):
                if not front:
                    break
                front = await self._step(tx, ctx.project or "default", front, graph)
        return Lineage(
            root=root,
            nodes=list(graph.nodes.values()),
            edges=list(graph.edges.values()),
            truncated=graph.truncated,
        )

    @staticmethod
    async def _step(tx: AsyncConnection, project: str, front: list[str], graph: _Graph) -> list[str]:
        """Add the neighbours of these nodes; return the new ones."""
        found: list[str] = []
        versions = [name for name in front if _is_version(name)]
        if versions:
            rank = sa.func.row_number().over(partition_by=(uses.c.ref, uses.c.user_kind), order_by=uses.c.at.desc())
            ranked = sa.select(uses, rank.label("rank")).where(uses.c.project == project, uses.c.ref.in_(versions))
            inner = ranked.subquery()
            query = sa.select(inner).where(inner.c.rank <= _MOST_USERS + 1).order_by(inner.c.rank, inner.c.user_id)
            for row in (await tx.execute(query)).mappings():
                if row["rank"] > _MOST_USERS:
                    graph.truncated = True
                else:
                    found += graph.add(row)
        query = sa.select(uses).where(uses.c.project == project, sa.or_(*_as_users(front)))
        query = query.order_by(uses.c.at.desc(), uses.c.ref).limit(_MOST_NODES)
        for row in (await tx.execute(query)).mappings():
            found += graph.add(row)
        return found


def _as_users(names: Iterable[str]) -> list[sa.ColumnElement[bool]]:
    """Return the conditions that find the rows in which these nodes are the user."""
    by_kind: dict[str, list[str]] = {}
    for name in names:
        kind, _, rest = name.partition(":")
        by_kind.setdefault("version" if _is_version(name) else kind, []).append(name if _is_version(name) else rest)
    return [sa.and_(uses.c.user_kind == kind, uses.c.user_id.in_(ids)) for kind, ids in by_kind.items()]
