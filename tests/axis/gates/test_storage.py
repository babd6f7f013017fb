"""What the database promises of gates, on SQLite and on PostgreSQL: decisions never change, one of two moves wins."""

import asyncio

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from tests.axis.evaluating import SUBJECT, SUITE, evaluate, examples, store_subject, store_suite

from gimbal.axis.assets.service import Assets
from gimbal.axis.gates.model import Decision, Promote, Rule, SetGate
from gimbal.axis.gates.service import Gates
from gimbal.axis.gates.store import decisions
from gimbal.axis.projects.audit import AuditLog
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context
from gimbal.kernel.errors import Conflict, GimbalError
from gimbal.kernel.operations import find, invoke

PATTERN = f"{SUBJECT}@production"
FLOOR = Rule(evidence="evaluation", source=SUITE, metric="exact_match", threshold=0.5)


@pytest.fixture
async def ready(gates: Gates, ctx: Context) -> Gates:
    """Give a gate with a floor, and three versions that are above it."""
    await store_suite(ctx, examples(30))
    for number in (1, 2, 3):
        await evaluate(ctx, await store_subject(ctx, number))
    await gates.set(ctx, SetGate(pattern=PATTERN, rules=[FLOOR]))
    return gates


async def promote(ctx: Context, number: int) -> Decision:
    body = Promote(candidate=f"{SUBJECT}@v{number}", alias="production")
    return await invoke(find("gates.promote"), ctx, {"project": "default", "body": body})


async def test_the_database_refuses_to_change_a_decision(ready: Gates, ctx: Context, catalog: Catalog) -> None:
    """Whoever opens it: an update, a delete, a truncate."""
    decision = await promote(ctx, 1)
    statements: list[sa.Executable] = [
        decisions.update().values(verdict="refused"),
        decisions.update().where(decisions.c.id == decision.id).values(document="{}"),
        decisions.delete(),
    ]
    if catalog.dialect == "postgresql":
        statements.append(sa.text("TRUNCATE decisions"))

    for statement in statements:
        with pytest.raises((GimbalError, DBAPIError), match="append-only"):
            async with catalog.write() as tx:
                await tx.execute(statement)

    assert await ready.decision(ctx, decision.id) == decision


async def test_of_two_promotions_at_once_one_wins(ready: Gates, ctx: Context) -> None:
    """The other was decided against an incumbent that is gone: a conflict, and no decision of it."""
    await promote(ctx, 1)

    answers = await asyncio.gather(*(promote(ctx.within("default"), n) for n in (2, 3)), return_exceptions=True)

    won = [a for a in answers if isinstance(a, Decision)]
    assert [isinstance(a, Conflict) for a in answers].count(True) == 1
    assert len(won) == 1
    alias = (await ctx.get(Assets).aliases(ctx, "answerer", "help/answer"))[0]
    assert alias.number == won[0].candidate.number
    assert len((await ready.decisions(ctx)).items) == 2
    moves = await ctx.get(Assets).history(ctx, "answerer", "help/answer", "production")
    assert [m.decision_id for m in moves] == [d.id for d in (await ready.decisions(ctx)).items]
    done = (await ctx.get(AuditLog).page("default", action="gates.promote", outcome="done")).items
    assert [r.details["decision_id"] for r in done] == [m.decision_id for m in moves]
    assert (await ctx.get(AuditLog).verify()).sound


async def test_a_gate_set_by_two_at_once_is_one(gates: Gates, ctx: Context) -> None:
    bodies = [SetGate(pattern=PATTERN, rules=[Rule(evidence="evaluation", source=SUITE, metric=f"m{i}", threshold=0.5)]) for i in range(4)]  # fmt: skip

    made = await asyncio.gather(*(gates.set(ctx.within("default"), body) for body in bodies))

    assert len({gate.id for gate in made}) == 1
    assert len(await gates.all(ctx)) == 1
