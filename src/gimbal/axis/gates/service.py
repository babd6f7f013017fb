"""The verbs of gates: set, decide, and move with a permit; every decision is stored, also a refusal."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.axis.assets.content import MAX_NOTE, check_note
from gimbal.axis.assets.model import Permit, Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.gates.deciding import judge
from gimbal.axis.gates.evidence import SOURCES
from gimbal.axis.gates.model import (
    Decided,
    Decision,
    Gate,
    Promote,
    Rule,
    RuleOutcome,
    SetGate,
    check_gate,
    guards,
    specific,
)
from gimbal.axis.gates.store import decisions, gates
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.tables import insert_missing
from gimbal.kernel.context import Context
from gimbal.kernel.errors import Conflict, NotFound, StaleVersion
from gimbal.kernel.ids import new_id
from gimbal.kernel.pages import Page, check_limit, cursor_text, encode_cursor
from gimbal.kernel.refs import AtAlias, AtVersion, Ref, check_alias


class Gates:
    """Gates on the catalog; also answers `assets.GatePolicy`."""

    def __init__(self, catalog: Catalog, assets: Assets) -> None:
        self._catalog = catalog
        self._assets = assets

    async def set(self, ctx: Context, body: SetGate) -> Gate:
        """Set a gate; one with the same pattern is replaced."""
        check_gate(body)
        for rule in body.rules:
            SOURCES.get(rule.evidence)
        values: dict[str, Any] = {
            "rules": body.rules, "updated_at": ctx.now(), "updated_by": ctx.principal.name,
        }  # fmt: skip
        same = (gates.c.project == ctx.project, gates.c.pattern == body.pattern)
        async with self._catalog.write(ctx) as tx:
            new = {"id": new_id(), "project": ctx.project, "pattern": body.pattern, **values}
            if not await insert_missing(tx, gates, new):
                await tx.execute(gates.update().where(*same).values(values))
            return _gate((await tx.execute(sa.select(gates).where(*same))).mappings().one())

    async def remove(self, ctx: Context, gate_id: str) -> None:
        """Remove a gate; its decisions stay. Raise NotFound."""
        async with self._catalog.write(ctx) as tx:
            done = await tx.execute(gates.delete().where(gates.c.id == gate_id, gates.c.project == ctx.project))
            if not done.rowcount:
                raise NotFound(f"There is no gate {gate_id}.", where="id", todo="`gimbal gates list` shows them.")

    async def all(self, ctx: Context) -> list[Gate]:
        """Return the gates of the project by pattern."""
        async with self._catalog.read() as tx:
            return await _all(tx, ctx)

    async def guarding(self, ctx: Context, asset: str, alias: str) -> Gate | None:
        """Return the most specific gate that guards an alias, or None."""
        return _most_specific(await self.all(ctx), asset, alias)

    async def is_gated(self, ctx: Context, kind: str, name: str, alias: str) -> bool:
        """Tell `assets` whether an alias needs a permit."""
        return await self.guarding(ctx, f"{kind}:{name}", alias) is not None

    async def promote(self, ctx: Context, body: Promote) -> Decision:
        """Collect the evidence, decide, store the Decision, and move the alias when every rule holds.

        Raise NotFound for a version or gate that is not there, NotReady when evidence is missing, StaleVersion when
        the alias moved meanwhile.
        """
        check_alias(body.alias)
        check_note(body.reason, "reason")
        candidate = await self._assets.resolve(ctx, Ref.parse(body.candidate))
        gate = await self.guarding(ctx, candidate.asset, body.alias)
        if gate is None:
            raise NotFound(
                f"No gate guards {candidate.asset}@{body.alias}.",
                where="alias",
                todo="Set one with gates.set, or move the alias with assets.move-alias.",
            )
        incumbent = await self._incumbent(ctx, candidate, body.alias)
        if incumbent and incumbent.number == candidate.number:
            raise Conflict(f"{candidate.ref} is {body.alias} already.", where="candidate", todo="Nothing to do.")
        outcomes = [await self._outcome(ctx, rule, candidate, incumbent) for rule in gate.rules]
        decision = _decision(ctx, gate, body, candidate, incumbent, outcomes)
        ctx.audit(decision_id=decision.id, verdict=decision.verdict, candidate=str(candidate.ref))
        if decision.verdict == "promoted":
            await self._move(ctx, gate, decision, candidate)
        else:
            async with self._catalog.write(ctx) as tx:
                await _store(tx, ctx, gate, decision)
        used = [candidate.ref, *([incumbent.ref] if incumbent else [])]
        await self._assets.record_use(ctx, "decision", decision.id, used, relation="judged")
        return decision

    async def _move(self, ctx: Context, gate: Gate, decision: Decision, candidate: Version) -> None:
        """Let the alias move and store the decision in one transaction: there is not one without the other."""

        async def store(tx: AsyncConnection) -> None:
            await _store(tx, ctx, gate, decision)

        ctx.before_commit.append(store)
        try:
            await self._assets.move_alias(
                ctx,
                candidate.kind,
                candidate.name,
                decision.alias,
                AtVersion(candidate.number),
                permit=Permit(
                    project=ctx.project or "default",
                    asset=decision.asset,
                    alias=decision.alias,
                    to_digest=candidate.digest,
                    decision_id=decision.id,
                ),
                reason=decision.reason or decision.text[:MAX_NOTE],
                expected=decision.incumbent.number if decision.incumbent else 0,
            )
        finally:
            if store in ctx.before_commit:
                ctx.before_commit.remove(store)

    async def _incumbent(self, ctx: Context, candidate: Version, alias: str) -> Version | None:
        try:
            return await self._assets.resolve(ctx, Ref(candidate.kind, candidate.name, AtAlias(alias)))
        except NotFound:
            return None

    @staticmethod
    async def _outcome(ctx: Context, rule: Rule, candidate: Version, incumbent: Version | None) -> RuleOutcome:
        collect = SOURCES.get(rule.evidence)
        source, evidence = await collect(ctx, rule, candidate)
        other = None
        if rule.against == "incumbent" and incumbent is not None:
            _, other = await collect(ctx, rule, incumbent)
        return judge(rule, source, evidence, other)

    async def decision(self, ctx: Context, decision_id: str) -> Decision:
        """Return a decision; raise NotFound."""
        query = sa.select(decisions.c.document).where(decisions.c.id == decision_id, decisions.c.project == ctx.project)
        async with self._catalog.read() as tx:
            document = (await tx.execute(query)).scalar()
        if document is None:
            raise NotFound(f"There is no decision {decision_id}.", where="id", todo="`gimbal decisions list`.")
        return msgspec.convert(document, Decision)

    async def decisions(
        self, ctx: Context, *, asset: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[Decision]:
        """Return decisions, newest first."""
        query = sa.select(decisions.c.document).where(decisions.c.project == ctx.project)
        if asset:
            query = query.where(decisions.c.asset == asset)
        if cursor:
            query = query.where(decisions.c.id < cursor_text(cursor, "id"))
        query = query.order_by(decisions.c.id.desc()).limit(check_limit(limit) + 1)
        async with self._catalog.read() as tx:
            found = [msgspec.convert(d, Decision) for d in (await tx.execute(query)).scalars()]
        items = found[:limit]
        return Page(items=items, next=encode_cursor({"id": items[-1].id}) if len(found) > limit else None)


async def _all(tx: AsyncConnection, ctx: Context) -> list[Gate]:
    query = sa.select(gates).where(gates.c.project == ctx.project).order_by(gates.c.pattern)
    return [_gate(row) for row in (await tx.execute(query)).mappings()]


def _most_specific(found: Sequence[Gate], asset: str, alias: str) -> Gate | None:
    guarding = [gate for gate in found if guards(gate.pattern, asset, alias)]
    return max(guarding, key=lambda gate: specific(gate.pattern), default=None)


async def _store(tx: AsyncConnection, ctx: Context, gate: Gate, decision: Decision) -> None:
    """Store a decision, unless the gate is not the one any more that it was made by."""
    if _most_specific(await _all(tx, ctx), decision.asset, decision.alias) != gate:
        raise StaleVersion(
            f"The gate of {decision.asset}@{decision.alias} was changed while it decided.",
            where="alias",
            kept="the alias where it stood",
            todo="Ask again; the new rules count.",
        )
    await tx.execute(
        decisions.insert().values(
            id=decision.id,
            project=ctx.project,
            asset=decision.asset,
            alias=decision.alias,
            verdict=decision.verdict,
            at=decision.at,
            document=decision,
        )
    )
    ctx.emit(Decided(project=ctx.project or "default", decision=decision))


def _decision(
    ctx: Context,
    gate: Gate,
    body: Promote,
    candidate: Version,
    incumbent: Version | None,
    outcomes: list[RuleOutcome],
) -> Decision:
    failed = [o for o in outcomes if not o.passed]
    told = " ".join(o.text for o in (failed or outcomes))
    return Decision(
        id=new_id(),
        gate_id=gate.id,
        pattern=gate.pattern,
        asset=candidate.asset,
        alias=body.alias,
        candidate=candidate.ref,
        incumbent=incumbent.ref if incumbent else None,
        verdict="refused" if failed else "promoted",
        outcomes=outcomes,
        text=f"{len(failed)} of {len(outcomes)} rules failed. {told}" if failed else f"All rules hold. {told}",
        reason=body.reason,
        at=ctx.now(),
        by=ctx.principal.name,
    )


def _gate(row: Mapping[Any, Any]) -> Gate:
    return Gate(
        id=row["id"],
        pattern=row["pattern"],
        rules=msgspec.convert(row["rules"], list[Rule]),
        updated_at=row["updated_at"],
        updated_by=row["updated_by"],
    )
