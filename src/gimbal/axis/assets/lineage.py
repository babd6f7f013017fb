"""Lineage: what a version was made from and what was made from it, as a graph both ways."""

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.assets.model import Edge, Lineage, Node, Version
from gimbal.axis.assets.reading import AssetReader
from gimbal.axis.assets.store import assets, uses, versions
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context
from gimbal.kernel.refs import Ref, ResolvedRef

_MOST_NODES = 200


class _Graph:
    """What has been found so far."""

    def __init__(self, root: str) -> None:
        self.nodes: dict[str, Node] = {}
        self.edges: dict[tuple[str, str], Edge] = {}
        self.root = root
        self.truncated = False

    def node(self, id_: str) -> bool:
        """Add a node; tell whether it is new and there is room to go on from it."""
        if id_ in self.nodes:
            return False
        if len(self.nodes) >= _MOST_NODES:
            self.truncated = True
            return False
        kind, _, rest = id_.partition(":")
        is_run = kind in {"run", "trace", "decision", "evaluation"}
        self.nodes[id_] = Node(id=id_, kind=kind, label=f"{kind} {rest[-8:]}" if is_run else rest)
        return True

    def edge(self, source: str, target: str, relation: str) -> None:
        """Add an edge once."""
        self.edges.setdefault((source, target), Edge(source=source, target=target, relation=relation))


class LineageQuery:
    """Walks the edges that versions hold (`inputs`, `run_id`) and that users noted (`uses`)."""

    def __init__(self, catalog: Catalog, reader: AssetReader) -> None:
        self._catalog = catalog
        self._reader = reader

    async def around(self, ctx: Context, ref: Ref, depth: int) -> Lineage:
        """Return the graph up to `depth` steps from the version that `ref` means."""
        root = await self._reader.resolve(ctx, ref)
        project = ctx.project or "default"
        graph = _Graph(str(root.ref))
        graph.node(graph.root)
        front = [root.ref]
        async with self._catalog.read() as tx:
            for _ in range(depth):
                following: list[ResolvedRef] = []
                for at in front:
                    following += await self._step(tx, project, at, graph)
                front = following
        return Lineage(
            root=graph.root,
            nodes=list(graph.nodes.values()),
            edges=[e for e in graph.edges.values() if e.source in graph.nodes and e.target in graph.nodes],
            truncated=graph.truncated,
        )

    async def _step(self, tx: AsyncConnection, project: str, at: ResolvedRef, graph: _Graph) -> list[ResolvedRef]:
        """Add the neighbours of one version; return those to go on from."""
        here, following = str(at), list[ResolvedRef]()
        version = await self._version(tx, project, at)
        for source in version.inputs if version else []:
            graph.edge(str(source), here, "input")
            if graph.node(str(source)):
                following.append(source)
        if version and version.run_id:
            graph.node(f"run:{version.run_id}")
            graph.edge(f"run:{version.run_id}", here, "made")
            following += await self._of_run(tx, project, version.run_id, graph)
        for made in await self._made_from(tx, project, at):
            graph.edge(here, str(made), "input")
            if graph.node(str(made)):
                following.append(made)
        query = sa.select(uses).where(uses.c.project == project, uses.c.ref == here).order_by(uses.c.at.desc())
        for row in (await tx.execute(query.limit(20))).mappings():
            user = f"{row['user_kind']}:{row['user_id']}"
            graph.node(user)
            graph.edge(here, user, row["relation"])
        return following

    @staticmethod
    async def _of_run(tx: AsyncConnection, project: str, run_id: str, graph: _Graph) -> list[ResolvedRef]:
        query = sa.select(uses.c.ref).where(
            uses.c.project == project, uses.c.user_kind == "run", uses.c.user_id == run_id
        )
        found: list[ResolvedRef] = []
        for text in (await tx.execute(query.limit(50))).scalars():
            graph.edge(text, f"run:{run_id}", "used")
            if graph.node(text):
                ref = Ref.parse(text)
                number = getattr(ref.selector, "number", 0)
                found.append(ResolvedRef(kind=ref.kind, name=ref.name, number=number, digest=""))
        return found

    @staticmethod
    async def _version(tx: AsyncConnection, project: str, at: ResolvedRef) -> Version | None:
        return await AssetReader.at(tx, project, at)

    @staticmethod
    async def _made_from(tx: AsyncConnection, project: str, at: ResolvedRef) -> list[ResolvedRef]:
        # The inputs are JSON; the text of the reference is specific enough to find the few candidates by.
        part = msgspec.json.encode(at.name).decode()
        query = (
            sa.select(assets.c.kind, assets.c.name, versions.c.number, versions.c.digest, versions.c.inputs)
            .select_from(versions.join(assets, versions.c.asset_id == assets.c.id))
            .where(assets.c.project == project, sa.cast(versions.c.inputs, sa.Text).contains(part, autoescape=True))
            .limit(500)
        )
        found: list[ResolvedRef] = []
        for row in (await tx.execute(query)).mappings():
            inputs = msgspec.convert(row["inputs"], list[ResolvedRef])
            if any(str(i) == str(at) for i in inputs):
                found.append(
                    ResolvedRef(kind=row["kind"], name=row["name"], number=row["number"], digest=row["digest"])
                )
        return found
