"""The daily run: what is past its term goes, class by class, then blobs that nothing refers to any more."""

import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec

from gimbal.axis.retention.classes import CLASSES, CONTENT, DELETED_RUNS, TRACES, DataClass
from gimbal.axis.retention.collecting import GRACE_S, Collecting
from gimbal.axis.retention.files import TraceFiles
from gimbal.axis.retention.kept import KeptTexts
from gimbal.axis.retention.model import BlobProof, Proof, RunReport, TableProof, plain
from gimbal.axis.retention.proving import Proving
from gimbal.axis.retention.rewriting import Before, Rewriting
from gimbal.axis.retention.runs import DeletedRuns
from gimbal.axis.retention.terms import EMPTIED, empties, expired
from gimbal.kernel.clock import to_us
from gimbal.kernel.context import Context
from gimbal.kernel.ids import derived_id

_DISK_S = 900.0
_SAID = frozenset({CONTENT.name, TRACES.name})
"""Classes with whose terms the files go that were uploaded to traces."""


class Once(Protocol):
    """Runs a step once, also when the whole is tried again; `JobContext.step` does."""

    def __call__(self, name: str, run: Callable[[], Awaitable[Any]]) -> Awaitable[Any]:
        """Return what the step returned, as JSON has it, of the first attempt that finished it."""
        ...


class Enforcing:
    """Runs of one installation; `disk_s` is how long it waits for old parts to leave the disk."""

    def __init__(
        self,
        rewriting: Rewriting,
        collecting: Collecting,
        proving: Proving,
        *,
        deleted: DeletedRuns,
        files: TraceFiles,
        kept: KeptTexts,
        disk_s: float = _DISK_S,
    ) -> None:
        self._rewriting = rewriting
        self._collecting = collecting
        self._deleted = deleted
        self._files = files
        self._kept = kept
        self._proving = proving
        self._disk_s = disk_s

    async def run(self, ctx: Context, keep: dict[str, int | None], run_id: str, once: Once) -> RunReport:
        """Delete what is past its term; a run that was cut off goes on where it was. Return what it deleted."""
        rows: dict[str, int] = {}
        proofs: list[str] = []
        # The moment is that of the first attempt: a run never takes more the longer it takes.
        now = msgspec.convert(await once("now", lambda: _plain(ctx.now())), datetime)
        for name in sorted(CLASSES):
            days = keep.get(name)
            if days is None:
                continue
            upto, proof_id = now - timedelta(days=days), derived_id("expiry", run_id, name)
            if name == DELETED_RUNS.name:
                count, proof = await self._expire_runs(ctx, upto, proof_id, once)
            else:
                proof = await self._expire(ctx, CLASSES.get(name), upto, proof_id, once)
                count = sum(one.rows_before for one in proof.tables) if proof is not None else 0
            if name in _SAID:
                await self._files.expire(str(ctx.project), upto)
            await self._kept.expire(str(ctx.project), name, upto)
            if proof is not None:
                rows[name] = count
                proofs.append(proof.id)
        blobs = await self._collecting.collect(time.time_ns() // 1000 - GRACE_S * 1_000_000)
        if blobs.deleted:
            proof_id = derived_id("blobs", run_id)
            notes = ["Payloads that nothing in the installation refers to, of whatever project."]
            await self._write(ctx, Proof(
                id=proof_id, project=str(ctx.project), kind="expiry", subject="blobs", at=ctx.now(), blobs=blobs, notes=notes
            ))  # fmt: skip
            proofs.append(proof_id)
        return RunReport(held=False, rows=rows, blobs=blobs.deleted, proofs=proofs)

    async def _expire(self, ctx: Context, one: DataClass, upto: datetime, proof_id: str, once: Once) -> Proof | None:
        found: list[TableProof] = []
        there = await self._rewriting.tables()
        for table in one.tables:
            if table.name not in there:
                continue
            condition, values = expired(one, table, str(ctx.project), to_us(upto))
            key = f"{one.name}:{table.name}"
            before = msgspec.convert(
                await once(key, lambda c=condition, v=values, t=table: self._before(t.name, c, v)), Before
            )
            if not before.rows:
                continue
            change = EMPTIED if empties(one, table) else "DELETE"
            found.append(await self._rewriting.rewrite(table.name, change, condition, values, before))
        if not found:
            return None
        gone = [await self._rewriting.wait_gone(proof, self._disk_s) for proof in found]
        return await self._write(ctx, Proof(
            id=proof_id, project=str(ctx.project), kind="expiry", subject=one.name, at=ctx.now(), upto=upto, tables=gone,
            blobs=BlobProof(),
        ))  # fmt: skip

    async def _expire_runs(self, ctx: Context, upto: datetime, proof_id: str, once: Once) -> tuple[int, Proof | None]:
        count, found = await self._deleted.expire(str(ctx.project), upto, once)
        if not count:
            return 0, None
        gone = [await self._rewriting.wait_gone(proof, self._disk_s) for proof in found]
        return count, await self._write(ctx, Proof(
            id=proof_id, project=str(ctx.project), kind="expiry", subject=DELETED_RUNS.name, at=ctx.now(), upto=upto,
            tables=gone, notes=[f"{count} runs with all that was logged in them."],
        ))  # fmt: skip

    async def _before(self, table: str, condition: str, values: dict[str, Any]) -> Any:
        return plain(await self._rewriting.before(table, condition, values))

    async def _write(self, ctx: Context, proof: Proof) -> Proof:
        return await self._proving.write(ctx, proof)


async def _plain(value: Any) -> Any:
    return plain(value)
