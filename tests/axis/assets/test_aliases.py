"""Aliases: moves with their whole history, what stood when, gates and permits, and who is told."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gimbal.axis.assets.model import AliasMove, AliasMoved, GatePolicy, MoveAlias, Permit, Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.assets.store import alias_moves
from gimbal.axis.projects.audit import AuditLog
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.clock import iso
from gimbal.kernel.context import Context, Principal, Role, Services
from gimbal.kernel.errors import BadInput, Forbidden, GateRefused, NotFound, StaleVersion
from gimbal.kernel.events import EventBus
from gimbal.kernel.operations import find, invoke
from gimbal.kernel.refs import Ref
from gimbal.testing.clock import FrozenClock

NAME = "flights/delay"
REF = Ref("note", NAME)


class GateOn:
    """A policy that guards `production` of every asset."""

    async def is_gated(self, ctx: Context, kind: str, name: str, alias: str) -> bool:
        """Tell whether the alias is production."""
        return alias == "production"


@pytest.fixture
async def versions(assets: Assets, ctx: Context) -> list[Version]:
    """Give four versions of one asset."""
    return [await assets.add_version(ctx, kind="note", name=NAME, manifest={"n": n}) for n in range(1, 5)]


async def move(assets: Assets, ctx: Context, to: str | None, alias: str = "production", **given: object) -> AliasMove:
    return await assets.move_alias(ctx, "note", NAME, alias, to, **given)  # type: ignore[arg-type]


def permit(version: Version, decision: str = "d1", **changes: str) -> Permit:
    base = Permit(
        project="default", asset=version.asset, alias="production", to_digest=version.digest, decision_id=decision
    )
    return msgspec.structs.replace(base, **changes)


async def test_every_move_is_in_the_history(
    assets: Assets, ctx: Context, versions: list[Version], clock: FrozenClock
) -> None:
    """First move, move on, back, removal and a new beginning: from where, to where, when, by whom, why."""
    steps = [("v1", "first"), ("v3", "better"), ("v1", "it was not"), (None, "gone"), ("latest", "again")]
    for to, reason in steps:
        clock.advance(hours=1)
        await move(assets, ctx, to, reason=reason)

    rows = await assets.history(ctx, "note", NAME, "production")

    assert [r.to_number for r in rows] == [4, None, 1, 3, 1]
    assert [r.from_number for r in rows] == [None, 1, 3, 1, None]
    assert [r.reason for r in rows] == ["again", "gone", "it was not", "better", "first"]
    assert {"local owner"} == {r.by for r in rows}
    assert [a.number for a in await assets.aliases(ctx, "note", NAME)] == [4]


async def test_what_was_in_production_then(
    assets: Assets, ctx: Context, versions: list[Version], clock: FrozenClock
) -> None:
    """A moment exactly at a move has the new version, a microsecond before it the old one."""
    times = []
    for to in ("v1", "v3", None, "v2"):
        clock.advance(days=1)
        await move(assets, ctx, to)
        times.append(clock.now())
    tick = timedelta(microseconds=1)

    async def then(moment: object) -> int | None:
        try:
            return (await assets.resolve(ctx, f"note:{NAME}@production~{iso(moment)}")).number  # type: ignore[arg-type]
        except NotFound:
            return None

    assert [await then(t - tick) for t in times] == [None, 1, 3, None]
    assert [await then(t) for t in times] == [1, 3, None, 2]
    assert await then(times[-1] + timedelta(days=400)) == 2
    assert (await assets.resolve(ctx, f"note:{NAME}@production~{times[0].date()}T12:00Z")).number == 1


async def test_the_history_never_steps_back_with_the_clock(
    assets: Assets, ctx: Context, versions: list[Version], clock: FrozenClock
) -> None:
    """Two moves in one microsecond and a clock set back keep their order, and `now` means the last one."""
    await move(assets, ctx, "v1")
    await move(assets, ctx, "v2")
    clock.advance(hours=-5)
    await move(assets, ctx, "v3")
    rows = await assets.history(ctx, "note", NAME, "production")

    assert [r.to_number for r in rows] == [3, 2, 1]
    assert rows == sorted(rows, key=lambda r: r.at, reverse=True)
    assert len({r.at for r in rows}) == 3
    assert (await assets.resolve(ctx, f"note:{NAME}@production~{iso(rows[1].at)}")).number == 2


async def test_a_move_to_where_it_stands_changes_nothing(
    assets: Assets, ctx: Context, versions: list[Version], services: Services
) -> None:
    """A retried request gets the first answer, and nobody is told twice."""
    told: list[AliasMoved] = []

    async def note(event: AliasMoved) -> None:
        told.append(event)

    services.get(EventBus).subscribe(AliasMoved, note)
    first = await move(assets, ctx, "v2", expected=0)
    again = await move(assets, ctx, "v2", expected=0)
    by_digest = await move(assets, ctx, versions[1].digest)

    assert first == again == by_digest
    assert [(e.from_version, e.to_version, e.alias, e.project) for e in told] == [(None, 2, "production", "default")]
    assert len(await assets.history(ctx, "note", NAME)) == 1


async def test_nobody_is_told_of_a_move_that_did_not_happen(
    assets: Assets, ctx: Context, versions: list[Version], services: Services
) -> None:
    """The event comes after the commit, and only then."""
    told: list[int | None] = []

    async def note(event: AliasMoved) -> None:
        found = await assets.aliases(ctx, "note", NAME)
        told.append(found[0].number if found else None)

    services.get(EventBus).subscribe(AliasMoved, note)
    with pytest.raises(NotFound):
        await move(assets, ctx, "v9")
    with pytest.raises(StaleVersion):
        await move(assets, ctx, "v1", expected=3)
    await move(assets, ctx, "v1")

    assert told == [1]


async def test_a_stale_expectation_is_told(assets: Assets, ctx: Context, versions: list[Version]) -> None:
    """0 means nowhere yet; the message says where it stands."""
    with pytest.raises(StaleVersion, match="nothing, not on v1"):
        await move(assets, ctx, "v2", expected=1)
    await move(assets, ctx, "v2", expected=0)
    with pytest.raises(StaleVersion, match="v2, not on v0"):
        await move(assets, ctx, "v3", expected=0)
    await move(assets, ctx, "v3", expected=2)
    with pytest.raises(StaleVersion):
        await move(assets, ctx, None, expected=2)
    await move(assets, ctx, None, expected=3)


async def test_of_many_who_expect_the_same_one_moves(
    assets: Assets, ctx: Context, versions: list[Version], services: Services
) -> None:
    """Twenty at once from v1: one wins, the others are told, and the history is one chain."""
    await move(assets, ctx, "v1")
    callers = [Context(services, ctx.principal, "default") for _ in range(20)]
    done = await asyncio.gather(
        *(move(assets, c, f"v{2 + n % 3}", expected=1) for n, c in enumerate(callers)), return_exceptions=True
    )
    rows = await assets.history(ctx, "note", NAME, "production")

    winners = {d.to_number for d in done if isinstance(d, AliasMove)}
    assert len(winners) == 1
    assert all(isinstance(d, AliasMove | StaleVersion) for d in done)
    assert len(rows) == 2
    assert {rows[0].to_number} == winners


async def test_concurrent_moves_make_one_chain(
    assets: Assets, ctx: Context, versions: list[Version], services: Services
) -> None:
    """Each move starts where the one before ended."""
    callers = [Context(services, ctx.principal, "default") for _ in range(20)]
    await asyncio.gather(*(move(assets, c, f"v{1 + n % 4}") for n, c in enumerate(callers)))
    rows = (await assets.history(ctx, "note", NAME, "production"))[::-1]

    assert [None, *[r.to_number for r in rows[:-1]]] == [r.from_number for r in rows]
    assert rows[-1].to_number == (await assets.aliases(ctx, "note", NAME))[0].number


@pytest.mark.parametrize(
    "alias",
    [
        "latest",
        "v1",
        "v0",
        "v99999999999",
        "Latest",
        "V2",
        "-production",
        "a b",
        "",
        "a~b",
        "b3:12345678",
        "a" * 256,
        "é",
    ],
)
async def test_what_is_no_alias_is_refused(assets: Assets, ctx: Context, versions: list[Version], alias: str) -> None:
    """Words that have a meaning as a selector already, or are no words."""
    with pytest.raises(BadInput):
        await move(assets, ctx, "v1", alias)


async def test_only_what_is_there_can_be_moved_or_removed(
    assets: Assets, ctx: Context, versions: list[Version]
) -> None:
    """An asset, a version or an alias that is not there is not found; long reasons are refused."""
    with pytest.raises(NotFound):
        await assets.move_alias(ctx, "note", "nothing", "production", "v1")
    with pytest.raises(NotFound):
        await move(assets, ctx, "staging")
    with pytest.raises(NotFound, match="no alias"):
        await move(assets, ctx, None)
    with pytest.raises(BadInput):
        await move(assets, ctx, "v1", reason="x" * 2001)
    assert await assets.history(ctx, "note", NAME) == []


async def test_a_gated_alias_moves_by_a_permit_only(
    assets: Assets, ctx: Context, versions: list[Version], services: Services
) -> None:
    """Neither moved nor removed without one; other aliases are free."""
    services.register(GatePolicy, GateOn())
    with pytest.raises(GateRefused, match="gate guards"):
        await move(assets, ctx, "v1")
    await move(assets, ctx, "v1", "candidate")

    done = await move(assets, ctx, "v1", permit=permit(versions[0]))

    assert done.decision_id == "d1"
    with pytest.raises(GateRefused):
        await move(assets, ctx, None)
    with pytest.raises(GateRefused):
        await move(assets, ctx, "v2")
    assert (await assets.resolve(ctx, f"note:{NAME}@production")).number == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"project": "flights"},
        {"asset": "note:other"},
        {"asset": "draft:flights/delay"},
        {"alias": "staging"},
        {"to_digest": "b3:" + "0" * 64},
        {"to_digest": ""},
    ],
)
async def test_a_permit_is_for_one_move(
    assets: Assets, ctx: Context, versions: list[Version], services: Services, changes: dict[str, str]
) -> None:
    """Another project, asset, alias or content: refused, and the alias stays; also where no gate is (any more)."""
    for gate in (GateOn(), None):
        if gate:
            services.register(GatePolicy, gate)
        with pytest.raises(GateRefused, match="another move"):
            await move(assets, ctx, "v1", permit=permit(versions[0], **changes))
    assert await assets.history(ctx, "note", NAME) == []


async def test_a_permit_is_used_once(assets: Assets, ctx: Context, versions: list[Version], services: Services) -> None:
    """Not again after the alias moved on; a retry while it stands there gets the first answer."""
    services.register(GatePolicy, GateOn())
    first = await move(assets, ctx, "v1", permit=permit(versions[0], "d1"))
    again = await move(assets, ctx, "v1", permit=permit(versions[0], "d1"))
    await move(assets, ctx, "v2", permit=permit(versions[1], "d2"))

    assert first == again
    with pytest.raises(GateRefused, match="used already"):
        await move(assets, ctx, "v1", permit=permit(versions[0], "d1"))
    assert len(await assets.history(ctx, "note", NAME)) == 2


async def test_a_permit_used_by_many_at_once_moves_once(
    assets: Assets, ctx: Context, versions: list[Version], services: Services
) -> None:
    """Ten callers with one permit leave one move."""
    services.register(GatePolicy, GateOn())
    callers = [Context(services, ctx.principal, "default") for _ in range(10)]
    done = await asyncio.gather(*(move(assets, c, "v1", permit=permit(versions[0])) for c in callers))

    assert len({d.id for d in done}) == 1
    assert len(await assets.history(ctx, "note", NAME)) == 1


@pytest.mark.parametrize("statement", ["UPDATE alias_moves SET by = 'x'", "DELETE FROM alias_moves"])
async def test_the_history_cannot_be_rewritten(
    assets: Assets, ctx: Context, versions: list[Version], catalog: Catalog, statement: str
) -> None:
    """The engine refuses."""
    await move(assets, ctx, "v1")
    with pytest.raises(IntegrityError, match="append-only"):
        async with catalog.write() as tx:
            await tx.exec_driver_sql(statement.replace(" by ", ' "by" '))


async def test_a_move_its_history_and_its_audit_are_one(
    assets: Assets, ctx: Context, versions: list[Version], services: Services, catalog: Catalog
) -> None:
    """Through the operation; a refused move leaves neither move nor history, and a record that it was refused."""
    op, here = find("assets.move-alias"), {"project": "default", "ref": REF, "alias": "production"}
    await invoke(op, ctx, here | {"body": MoveAlias(to="v2", reason="good")})
    services.register(GatePolicy, GateOn())
    with pytest.raises(GateRefused):
        await invoke(op, ctx, here | {"body": MoveAlias(to="v3")})
    refused, done = (await services.get(AuditLog).page("default")).items

    async with catalog.read() as tx:
        assert (await tx.execute(sa.select(sa.func.count()).select_from(alias_moves))).scalar() == 1
    assert (done.outcome, refused.outcome) == ("done", "denied")
    assert "A gate guards" in refused.details["refused"]
    assert "moved" not in refused.details
    asked = {"ref": str(REF), "alias": "production", "to": "v2"}
    assert asked | {"moved": f"note:{NAME}@production", "from_number": None, "to_number": 2} == done.details
    assert asked | {"to": "v3"} == {name: refused.details[name] for name in asked}


async def test_aliases_take_a_releaser(assets: Assets, versions: list[Version], services: Services) -> None:
    """A developer moves none."""
    developer = Principal(kind="key", id="k", name="k", roles={"default": Role.DEVELOPER})
    here = {"project": "default", "ref": REF, "alias": "production"}
    with pytest.raises(Forbidden):
        await invoke(
            find("assets.move-alias"), Context(services, developer, "default"), here | {"body": MoveAlias(to="v1")}
        )
    with pytest.raises(Forbidden):
        await invoke(find("assets.remove-alias"), Context(services, developer, "default"), here)


async def test_operations_on_aliases_are_about_the_asset(assets: Assets, ctx: Context, versions: list[Version]) -> None:
    """A selector in the reference is a mistake that is told; removal and history go through operations as well."""
    here = {"project": "default", "ref": REF, "alias": "production"}
    for name, more in (("assets.move-alias", {"body": MoveAlias(to="v1")}), ("assets.remove-alias", {})):
        with pytest.raises(BadInput, match="as a whole"):
            await invoke(find(name), ctx, here | {"ref": Ref.parse(f"{REF}@v2")} | more)
    await invoke(find("assets.move-alias"), ctx, here | {"body": MoveAlias(to="v1")})
    await invoke(find("assets.remove-alias"), ctx, here | {"reason": "old", "expected": 1})

    history = await invoke(find("assets.history"), ctx, {"project": "default", "ref": REF})
    assert [(m.to_number, m.reason) for m in history] == [(None, "old"), (1, "")]
    assert await invoke(find("assets.aliases"), ctx, {"project": "default", "ref": REF}) == []


async def test_moves_of_the_project_are_paged_newest_first(
    assets: Assets, ctx: Context, versions: list[Version], clock: FrozenClock
) -> None:
    """Over all assets of the project, and none of another."""
    await assets.add_version(ctx, kind="draft", name="a", manifest={})
    await assets.add_version(ctx.within("flights"), kind="draft", name="a", manifest={})
    await assets.move_alias(ctx.within("flights"), "draft", "a", "production", "v1")
    for name, to in ((NAME, "v1"), (NAME, "v2"), (NAME, "v3")):
        clock.advance(minutes=1)
        await assets.move_alias(ctx, "note", name, "production", to)
    await assets.move_alias(ctx, "draft", "a", "production", "v1")

    first = await invoke(find("assets.moves"), ctx, {"project": "default", "limit": 3})
    rest = await invoke(find("assets.moves"), ctx, {"project": "default", "limit": 3, "cursor": first.next})

    assert [(m.kind, m.to_number) for m in first.items] == [("draft", 1), ("note", 3), ("note", 2)]
    assert [(m.kind, m.to_number) for m in rest.items] == [("note", 1)]
    assert rest.next is None
