"""The jobs of retention: the daily run, and erasures. Both go on where a killed worker left off."""

import msgspec

from gimbal.axis.retention.model import JOB_ENFORCE, JOB_ERASE, RunReport
from gimbal.axis.retention.service import Retaining
from gimbal.engines.compute.jobs import JobContext, job


class Enforce(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    late_only: bool = False
    """Whether only late data of erasures are looked for."""


class Erase(msgspec.Struct, frozen=True, kw_only=True):
    """One erasure; whose it is, is nowhere."""

    erasure: str


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    proof: str


@job(JOB_ENFORCE, retries=5, retry_delay_s=30)
async def enforce(jc: JobContext, payload: Enforce) -> RunReport:
    """Delete what is past its term."""
    ctx = jc.context()
    report = await jc.services.get(Retaining).run(ctx, jc.job_id, jc.step, late_only=payload.late_only)
    await ctx.settle()
    return report


@job(JOB_ERASE, retries=10, retry_delay_s=5)
async def erase(jc: JobContext, payload: Erase) -> Erased:
    """Erase a user's data and write the certificate."""
    ctx = jc.context()
    proof = await jc.services.get(Retaining).carry_out(ctx, payload.erasure, jc.progress)
    await ctx.settle()
    return Erased(proof=proof.id)
