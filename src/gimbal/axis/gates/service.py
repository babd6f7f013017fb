"""The verbs of gates: set, decide, and move with a permit; every decision is stored, also a refusal."""

from collections.abc import Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

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
from gimbal.kernel.context import Context
from gimbal.kernel.errors import Conflict, NotFound
from gimbal.kernel.ids import new_id
from gimbal.kernel.pages import Page, check_limit, decode_cursor, encode_cursor
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
        async with self._catalog.write(ctx) as tx:
            same = (gates.c.project == ctx.project, gates.c.pattern == body.pattern)
            found = (await tx.execute(sa.select(gates.c.id).where(*same))).scalar()
            values: dict[str, Any] = {
                "rules": body.rules, "updated_at": ctx.now(), "updated_by": ctx.principal.name,
            }  # fmt: skip
            if found:
                await tx.execute(gates.update().where(gates.c.id == found).values(values))
            else:
                found = new_id()
                await tx.execute(gates.insert().values(id=found, project=ctx.project, pattern=body.pattern, **values))
        return Gate(id=found, pattern=body.pattern, **values)

    async def remove(self, ctx: Context, gate_id: str) -> None:
        """Remove a gate; its decisions stay. Raise NotFound."""
        async with self._catalog.write(ctx) as tx:
            done = await tx.execute(gates.delete().where(gates.c.id == gate_id, gates.c.project == ctx.project))
            if not done.rowcount:
                raise NotFound(f"There is no gate {gate_id}.", where="id", todo="`gimbal gates list` shows them.")

    async def all(self, ctx: Context) -> list[Gate]:
        """Return the gates of the project by pattern."""
        query = sa.select(gates).where(gates.c.project == ctx.project).order_by(gates.c.pattern)
        async with self._catalog.read() as tx:
            return [_gate(row) for row in (await tx.execute(query)).mappings()]

    async def guarding(self, ctx: Context, asset: str, alias: str) -> Gate | None:
        """Return the most specific gate that guards an alias, or None."""
        found = [gate for gate in await self.all(ctx) if guards(gate.pattern, asset, alias)]
        return max(found, key=lambda gate: specific(gate.pattern), default=None)

    async def is_gated(self, ctx: Context, kind: str, name: str, alias: str) -> bool:
        """Tell `assets` whether an alias needs a permit."""
        return await self.guarding(ctx, f"{kind}:{name}", alias) is not None

    async def promote(self, ctx: Context, body: Promote) -> Decision:
        """Collect the evidence, decide, store the Decision, and move the alias when every rule holds.

        Raise NotFound for a version or gate that is not there, NotReady when evidence is missing, StaleVersion when
        the alias moved meanwhile.
        """
        check_alias(body.alias)
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
        await self._store(ctx, decision)
        ctx.audit(decision_id=decision.id, verdict=decision.verdict, candidate=str(candidate.ref))
        if decision.verdict == "promoted":
            await self._assets.move_alias(
                ctx,
                candidate.kind,
                candidate.name,
                body.alias,
                AtVersion(candidate.number),
                permit=Permit(
                    project=ctx.project or "default",
                    asset=candidate.asset,
                    alias=body.alias,
                    to_digest=candidate.digest,
                    decision_id=decision.id,
                ),
                reason=body.reason or decision.text,
                expected=incumbent.number if incumbent else 0,
            )
        used = [candidate.ref, *([incumbent.ref] if incumbent else [])]
        await self._assets.record_use(ctx, "decision", decision.id, used, relation="judged")
        return decision

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

    async def _store(self, ctx: Context, decision: Decision) -> None:
        async with self._catalog.write() as tx:
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
            query = query.where(decisions.c.id < str(decode_cursor(cursor).get("id", "")))
        query = query.order_by(decisions.c.id.desc()).limit(check_limit(limit) + 1)
        async with self._catalog.read() as tx:
            found = [msgspec.convert(d, Decision) for d in (await tx.execute(query)).scalars()]
        items = found[:limit]
        return Page(items=items, next=encode_cursor({"id": items[-1].id}) if len(found) > limit else None)


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
