"""Operations on retention: terms, erasure, and proofs of both."""

from typing import Annotated

import msgspec

from gimbal.axis.retention.model import EraseUser, Erasure, Proof, ProofCheck, RetentionTerms, SetRetention
from gimbal.axis.retention.service import Retaining
from gimbal.engines.compute.model import Job
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.http import Download
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.pages import Page

describe("retention", "How long data are kept, erasure of users, and proof of deletion.")


@operation("GET", "/projects/{project}/retention", name="retention.show", allow=Permission.VIEW)
async def show_retention(ctx: Context, project: str) -> RetentionTerms:
    """Show how long each data class is kept, what is stored of it and what is due."""
    return await ctx.get(Retaining).get(ctx)


@operation("PUT", "/projects/{project}/retention", name="retention.set", allow=Permission.ADMIN, audited=True)
async def set_retention(ctx: Context, project: str, body: SetRetention) -> RetentionTerms:
    """Set for how many days data classes are kept, and whether a legal hold is on.

    A daily run deletes what is past its term. Under a legal hold nothing is deleted, by terms or by erasures.
    """
    ctx.audit(keep_days=body.keep_days, hold=body.hold, hold_reason=body.hold_reason)
    return await ctx.get(Retaining).set(ctx, body)


@operation("POST", "/projects/{project}/retention/run", name="retention.run", allow=Permission.ADMIN, audited=True)
async def run_retention(ctx: Context, project: str) -> Job:
    """Delete what is past its term now, as a job, instead of waiting for the daily run."""
    return await ctx.get(Retaining).start(ctx)


@operation(
    "POST", "/projects/{project}/retention/erasures", name="retention.erase", allow=Permission.ADMIN, audited=True
)
async def erase_user(ctx: Context, project: str, body: EraseUser) -> Erasure:
    """Erase what is stored of a user: every trace that names them, whole, its scores and payloads; a job does it.

    With `dry_run` it only counts. What they do after this moment is new and stays; what comes late from before is erased
    again, and so is what a restored backup brings back. The id itself is not kept.
    """
    return await ctx.get(Retaining).erase(ctx, body)


@operation("GET", "/projects/{project}/retention/erasures", name="retention.erasures", allow=Permission.ADMIN)
async def list_erasures(ctx: Context, project: str, cursor: str | None = None, limit: int = 50) -> Page[Erasure]:
    """List erasures, newest first, with how far they are."""
    return await ctx.get(Retaining).erasures(ctx, cursor=cursor, limit=limit)


@operation("GET", "/projects/{project}/retention/erasures/{id}", name="retention.erasure", allow=Permission.ADMIN)
async def get_erasure(ctx: Context, project: str, id: str) -> Erasure:  # noqa: A002 - the name in the path
    """Show one erasure."""
    return await ctx.get(Retaining).erasure(ctx, id)


@operation("GET", "/projects/{project}/retention/proofs", name="retention.proofs", allow=Permission.ADMIN)
async def list_proofs(ctx: Context, project: str, cursor: str | None = None, limit: int = 50) -> Page[Proof]:
    """List proofs of deletion, newest first."""
    return await ctx.get(Retaining).proofs.page(ctx, cursor=cursor, limit=limit)


@operation("GET", "/projects/{project}/retention/proofs/{id}", name="retention.proof", allow=Permission.ADMIN)
async def get_proof(ctx: Context, project: str, id: str) -> Proof:  # noqa: A002 - the name in the path
    """Show one proof of deletion: what went, since when no query finds it, and since when it is off the disk."""
    return await ctx.get(Retaining).proofs.get(ctx, id)


@operation("GET", "/projects/{project}/retention/proofs/{id}/file", name="retention.download", allow=Permission.ADMIN)
async def download_proof(ctx: Context, project: str, id: Annotated[str, "Its id."]) -> Download:  # noqa: A002 - the name in the path
    """Download a proof as a JSON file."""
    proof = await ctx.get(Retaining).proofs.get(ctx, id)
    content = msgspec.json.format(msgspec.json.encode(proof), indent=2)

    async def chunks():  # noqa: ANN202 - an asynchronous generator of the only piece
        yield content

    return Download(chunks=chunks(), media_type="application/json", filename=f"proof-{id}.json", size=len(content))


@operation(
    "POST",
    "/projects/{project}/retention/proofs/{id}/verify",
    name="retention.verify",
    allow=Permission.ADMIN,
    audited=True,
)
async def verify_proof(ctx: Context, project: str, id: str) -> ProofCheck:  # noqa: A002 - the name in the path
    """Look again whether a proof holds: its hash, that no query finds what went, and that no old part is on the disk."""
    return await ctx.get(Retaining).proofs.verify(ctx, id)
