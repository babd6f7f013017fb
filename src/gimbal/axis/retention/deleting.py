"""Deletion of single traces for good: spans, events, verdicts, facts and scores, with a proof that the audit log chains.

Payloads in the blobs that nothing refers to any more go with the next daily run.
"""

from collections.abc import Sequence
from typing import Any

from gimbal.axis.retention.classes import SCORES, TRACES
from gimbal.axis.retention.model import Proof, TableProof
from gimbal.axis.retention.proving import Proving
from gimbal.axis.retention.rewriting import Rewriting
from gimbal.kernel.context import Context
from gimbal.kernel.ids import new_id

_NOTES = ["Payloads that nothing refers to any more go with the next run of retention, after its time of grace."]


async def delete_traces(ctx: Context, rewriting: Rewriting, proving: Proving, trace_ids: Sequence[str]) -> Proof:
    """Delete traces of the project with all that is stored of them; return the proof.

    Spans go last, so that a second try after a failure finds the traces still. Raise Unavailable when the engine cannot.
    """
    there = await rewriting.tables()
    values: dict[str, Any] = {"project": ctx.project or "default", "ids": list(trace_ids)}
    tables: list[TableProof] = []
    for table in (*SCORES.tables, *reversed(TRACES.tables)):
        if table.name not in there:
            continue
        scored = table in SCORES.tables
        own = " OR (target_kind = 'trace' AND target_id IN {ids:Array(String)})" if scored else ""
        condition = f"project = {{project:String}} AND (trace_id IN {{ids:Array(String)}}{own})"
        before = await rewriting.before(table.name, condition, values)
        if before.rows:
            tables.append(await rewriting.rewrite(table.name, "DELETE", condition, values, before))
    proof = Proof(
        id=new_id(),
        project=values["project"],
        kind="traces",
        subject=f"{len(trace_ids)} traces",
        at=ctx.now(),
        tables=tables,
        notes=_NOTES,
    )
    return await proving.write(ctx, proof)
