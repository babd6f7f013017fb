"""What happens between evidence and decision, who goes round the gate, and who may not."""

import asyncio

import numpy as np
import pytest
from tests.axis.evaluating import (
    SUBJECT,
    store_subject,
)
from tests.axis.gates.promoting import FLOOR, PATTERN, gate, promote, ready, standing
from tests.sqlite import catalog_address

from gimbal.axis.assets.model import MoveAlias, Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.gates.evidence import SOURCES, Evidence, LabelledScores
from gimbal.axis.gates.model import Decision, Rule, SetGate
from gimbal.axis.gates.service import Gates
from gimbal.axis.projects.audit import AuditLog
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context, Principal, Role, Services
from gimbal.kernel.errors import (
    Forbidden,
    GateRefused,
    NotFound,
    StaleVersion,
    Unavailable,
)
from gimbal.kernel.operations import AuditTrail, find, invoke
from gimbal.kernel.refs import Ref

__all__ = ["catalog_address", "ready"]


# ---- what happens meanwhile ----


class Paused:
    """A source of evidence that lets a test do something between the evidence and the decision."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.go = asyncio.Event()

    async def collect(self, ctx: Context, rule: Rule, version: Version) -> tuple[str, Evidence]:
        self.reached.set()
        await self.go.wait()
        labels = np.arange(200) % 2 == 0
        return "rows", LabelledScores(labels=labels, probabilities=np.where(labels, 0.9, 0.1))


async def _paused(ctx: Context, rule: Rule, version: Version) -> tuple[str, Evidence]:
    return await ctx.get(Paused).collect(ctx, rule, version)


SOURCES.add("test_paused", _paused)
SLOW = Rule(evidence="test_paused", source="dataset:d", metric="auc", threshold=0.6)


@pytest.fixture
async def paused(ready: Gates, ctx: Context, services: Services) -> Paused:
    """Give a pause; the gate now asks the source that pauses."""
    found = Paused()
    services.register(Paused, found)
    await gate(ctx, SLOW)
    return found


async def meanwhile(ctx: Context, paused: Paused) -> "asyncio.Task[Decision]":
    task = asyncio.create_task(promote(ctx.within("default"), 2))
    async with asyncio.timeout(10):
        await paused.reached.wait()
    return task


async def test_an_alias_that_moved_meanwhile_is_not_moved_over(paused: Paused, ready: Gates, ctx: Context) -> None:
    """The evidence was against another incumbent: no decision, no move, and the caller is told."""
    task = await meanwhile(ctx, paused)
    await ready.remove(ctx, (await ready.all(ctx))[0].id)
    await store_subject(ctx, 3)
    await ctx.get(Assets).move_alias(ctx, "answerer", "help/answer", "production", "v3")
    await gate(ctx, SLOW)
    paused.go.set()

    with pytest.raises(StaleVersion, match="stands on v3, not on v1"):
        await task

    assert await standing(ctx) == 3
    assert (await ready.decisions(ctx)).items == []


@pytest.mark.parametrize("change", ["replaced", "removed"])
async def test_a_gate_that_changed_meanwhile_does_not_decide(
    paused: Paused, ready: Gates, ctx: Context, change: str
) -> None:
    """Stricter rules that an admin has set are not evaded by having asked before."""
    task = await meanwhile(ctx, paused)
    if change == "replaced":
        await gate(ctx, FLOOR)
    else:
        await ready.remove(ctx, (await ready.all(ctx))[0].id)
    paused.go.set()

    with pytest.raises(StaleVersion, match="was changed while it decided"):
        await task
    assert (await standing(ctx), (await ready.decisions(ctx)).items) == (1, [])


async def test_a_decision_that_cannot_be_stored_moves_nothing(ready: Gates, ctx: Context, services: Services) -> None:
    """The audit is part of the same transaction: without a record there is neither decision nor move."""

    class Full(AuditLog):
        async def append(self, tx: object, entry: object) -> None:
            raise Unavailable("The disk is full.", todo="Make room.")

    services.register(AuditTrail, Full(services.get(Catalog)))
    with pytest.raises(Unavailable):
        await promote(ctx, 2)

    assert (await standing(ctx), (await ready.decisions(ctx)).items) == (1, [])


# ---- going round the gate ----


async def test_a_direct_move_is_refused_and_recorded(ready: Gates, ctx: Context) -> None:
    """By the operations that move and that remove; the record outlives the transaction that was rolled back."""
    where = {"project": "default", "ref": Ref.parse(SUBJECT), "alias": "production"}

    with pytest.raises(GateRefused, match="moves by the gate's decision only"):
        await invoke(find("assets.move-alias"), ctx, where | {"body": MoveAlias(to="v2")})
    with pytest.raises(GateRefused):
        await invoke(find("assets.remove-alias"), ctx, where)

    assert await standing(ctx) == 1
    records = (await ctx.get(AuditLog).page("default", outcome="denied")).items
    assert [r.action for r in records] == ["assets.remove-alias", "assets.move-alias"]
    assert (records[1].details["alias"], records[1].details["to"]) == ("production", "v2")
    assert "A gate guards" in records[1].details["refused"]
    assert (await ctx.get(AuditLog).verify()).sound


async def test_an_alias_without_a_gate_moves_and_asks_no_gate(ready: Gates, ctx: Context) -> None:
    where = {"project": "default", "ref": Ref.parse(SUBJECT), "alias": "staging", "body": MoveAlias(to="v2")}

    await invoke(find("assets.move-alias"), ctx, where)
    with pytest.raises(NotFound, match="No gate guards"):
        await promote(ctx, 2, "staging")

    assert await standing(ctx, "staging") == 2
    assert (await ctx.get(AuditLog).page("default", outcome="denied")).items == []


async def test_a_developer_may_not_promote_and_a_releaser_may(ready: Gates, ctx: Context, services: Services) -> None:
    """Setting the rules takes an admin; every attempt is recorded."""

    def as_(role: Role) -> Context:
        return Context(services, Principal(kind="key", id="k", name=role, roles={"default": role}), "default")

    with pytest.raises(Forbidden):
        await promote(as_(Role.DEVELOPER), 2)
    with pytest.raises(Forbidden):
        await invoke(
            find("gates.set"),
            as_(Role.RELEASER),
            {"project": "default", "body": SetGate(pattern=PATTERN, rules=[FLOOR])},
        )
    with pytest.raises(Forbidden):
        await invoke(find("gates.remove"), as_(Role.RELEASER), {"project": "default", "id": "x"})
    denied = (await ctx.get(AuditLog).page("default", outcome="denied")).items
    assert await standing(ctx) == 1
    decision = await promote(as_(Role.RELEASER), 2)

    assert [(r.action, r.actor_name) for r in denied] == [
        ("gates.remove", "releaser"),
        ("gates.set", "releaser"),
        ("gates.promote", "developer"),
    ]
    assert (decision.by, decision.verdict) == ("releaser", "promoted")
