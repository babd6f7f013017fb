"""What can be done with indexes from outside: build one from documents, search one."""

from typing import Annotated

import msgspec

from gimbal.generative.knowledge.model import ChunkSetting, Document, Hit, RetrieverSetting, decode_manifest
from gimbal.generative.knowledge.service import Indexes
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import operation
from gimbal.kernel.refs import Ref, check_name


class BuildIndex(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to index, and how."""

    name: str
    """Name of the index: `help/docs` becomes `index:help/docs`."""
    documents: Annotated[list[Document], msgspec.Meta(min_length=1, max_length=100_000)]
    """All documents; an index is always built whole, so what is not sent is not in it."""
    chunker: ChunkSetting = ChunkSetting()
    """How documents are cut into passages."""
    retriever: RetrieverSetting = RetrieverSetting()
    """How passages are ranked."""
    note: str = ""
    """Why, for the history."""


class BuiltIndex(msgspec.Struct, frozen=True, kw_only=True):
    """The version that the documents are now."""

    ref: str
    """Resolved: `index:help/docs@v3`. Unchanged documents and settings give the version there was."""
    digest: str
    documents: int
    chunks: int
    """Passages."""
    tokens: int
    """Of all passages together."""


class SearchIndex(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to look for."""

    query: Annotated[str, msgspec.Meta(min_length=1, max_length=20_000)]
    """Words or a question."""
    k: Annotated[int, msgspec.Meta(ge=1, le=100)] = 5
    """How many passages at most."""


class SearchResult(msgspec.Struct, frozen=True, kw_only=True):
    """What was found."""

    index: str
    """Exactly which version was searched."""
    hits: list[Hit]
    """Best first; empty when no passage shares a word with the query."""


@operation("POST", "/projects/{project}/indexes", name="indexes.build", allow=Permission.DEVELOP, audited=True)
async def build_index(ctx: Context, project: str, body: BuildIndex) -> BuiltIndex:
    """Build an index from documents and keep it as a version.

    Markdown is cut along its headings and blocks, and each passage keeps the headings above it. Building again from the
    same documents with the same settings gives the same version.
    """
    version = await ctx.get(Indexes).build(
        ctx,
        check_name(body.name),
        body.documents,
        chunker=body.chunker,
        retriever=body.retriever,
        note=body.note,
    )
    manifest = decode_manifest(version.manifest)
    ref = f"index:{version.name}@v{version.number}"
    ctx.audit(version=ref, documents=len(manifest.documents))
    return BuiltIndex(
        ref=ref,
        digest=version.digest,
        documents=len(manifest.documents),
        chunks=manifest.chunks,
        tokens=manifest.tokens,
    )


@operation("POST", "/projects/{project}/indexes/{ref}/search", name="indexes.search", allow=Permission.VIEW)
async def search_index(ctx: Context, project: str, ref: Ref, body: SearchIndex) -> SearchResult:
    """Search one version of an index and return the best passages with their sources and scores."""
    found = await ctx.get(Indexes).search(ctx, ref, body.query, body.k)
    return SearchResult(index=str(found.index), hits=found.hits)
