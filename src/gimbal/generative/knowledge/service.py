"""The verbs of knowledge: build an index as a version, load one, search it.

Loaded indexes are kept by digest, the least recently used one leaves first: a version never changes, so what was read
once stays right.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from gimbal.axis.assets.model import FileEntry, Version
from gimbal.axis.assets.service import Assets
from gimbal.engines.storage.blobs import Blobs
from gimbal.generative.knowledge.index import PASSAGES, POSTINGS, Index
from gimbal.generative.knowledge.model import ChunkSetting, Document, Hit, RetrieverSetting, decode_manifest
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, CorruptUpload
from gimbal.kernel.refs import Ref, ResolvedRef

_MEDIA_TYPES = {PASSAGES: "application/jsonl", POSTINGS: "application/vnd.msgpack"}


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a search gave, and exactly which index it was asked of."""

    index: ResolvedRef
    hits: list[Hit]


class Indexes:
    """Builds, loads and searches indexes; one per process."""

    def __init__(self, keep: int = 8) -> None:
        self._keep = keep
        self._loaded: OrderedDict[str, Index] = OrderedDict()
        self._lock = asyncio.Lock()

    async def build(
        self,
        ctx: Context,
        name: str,
        documents: Sequence[Document],
        *,
        chunker: ChunkSetting | None = None,
        retriever: RetrieverSetting | None = None,
        note: str = "",
    ) -> Version:
        """Build an index and keep it as a version of `index:name`; unchanged input gives the version there is.

        Raise BadInput when there is nothing to index.
        """
        index = await asyncio.to_thread(
            Index.build, list(documents), chunker or ChunkSetting(), retriever or RetrieverSetting()
        )
        if not index.chunks:
            raise BadInput("The documents hold no text.", where="documents", todo="Send at least one with text.")
        blobs = ctx.get(Blobs)
        entries: list[FileEntry] = []
        for path, raw in index.files().items():
            blob = await blobs.put(raw)
            entries.append(FileEntry(path=path, digest=blob.digest, size=blob.size, media_type=_MEDIA_TYPES[path]))
        return await ctx.get(Assets).add_version(
            ctx, kind="index", name=name, manifest=msgspec.to_builtins(index.manifest), files=entries, note=note
        )

    async def load(self, ctx: Context, version: Version) -> Index:
        """Return the index of a version, from memory when it was loaded before."""
        async with self._lock:
            index = self._loaded.get(version.digest)
            if index is None:
                index = await self._read(ctx, version)
                self._loaded[version.digest] = index
                while len(self._loaded) > self._keep:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(version.digest)
            return index

    async def search(self, ctx: Context, ref: Ref, query: str, k: int) -> Found:
        """Return the best `k` passages for `query`; raise NotFound for an unknown index."""
        if ref.kind != "index":
            raise BadInput(f"{ref} is not an index.", where="ref", todo="Write it like index:help/docs@production.")
        version = await ctx.get(Assets).resolve(ctx, ref)
        index = await self.load(ctx, version)
        return Found(index=version.ref, hits=index.search(query, k))

    async def _read(self, ctx: Context, version: Version) -> Index:
        digests = {entry.path: entry.digest for entry in version.files}
        missing = {PASSAGES, POSTINGS} - set(digests)
        if missing:
            raise CorruptUpload(
                f"The index lacks {', '.join(sorted(missing))}.", where=f"index:{version.name}", todo="Build it again."
            )
        blobs = ctx.get(Blobs)
        passages, postings = await blobs.get(digests[PASSAGES]), await blobs.get(digests[POSTINGS])
        return await asyncio.to_thread(Index.read, decode_manifest(version.manifest), passages, postings)
