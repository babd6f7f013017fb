"""What can be done with indexes from outside: build one from documents, search one."""

from gimbal.generative.knowledge.model import BuildIndex, BuiltIndex, SearchIndex, SearchResult, decode_manifest
from gimbal.generative.knowledge.service import Indexes
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.refs import Ref, check_name

describe("indexes", "Documents cut into passages and indexed for retrieval.")


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
