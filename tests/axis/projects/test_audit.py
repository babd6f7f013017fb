"""The audit chain: what is recorded when, and that no change by hand stays unseen, on both engines."""

import asyncio

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gimbal.axis.projects.audit import AuditLog
from gimbal.axis.projects.model import AddMember, CreateKey, CreateProject, chain_hash
from gimbal.axis.projects.service import Projects
from gimbal.axis.projects.store import api_keys, audit
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context, Principal, Role, Services
from gimbal.kernel.errors import BadInput, Forbidden, NameTaken, Unavailable
from gimbal.kernel.operations import AuditEntry, find, invoke
from gimbal.testing.clock import FrozenClock

OTHERS = ", ".join(c.name for c in audit.c if c.name != "sequence")


def entry(number: int, clock: FrozenClock, **details: object) -> AuditEntry:
    return AuditEntry(
        at=clock.now(),
        project="default",
        actor_kind="owner",
        actor_id="owner",
        actor_name="local owner",
        action="assets.move-alias",
        outcome="done",
        origin="http",
        client="127.0.0.1",
        details={"number": number, "share": 1e30, "text": "é\0–", **details},
    )


async def fill(log: AuditLog, clock: FrozenClock, count: int = 6) -> None:
    for number in range(1, count + 1):
        clock.advance(seconds=1)
        await log.record(entry(number, clock))


async def by_hand(catalog: Catalog, *statements: str) -> None:
    """Do what somebody with the database's password could: drop the triggers, then change rows."""
    async with catalog.write() as tx:
        if catalog.dialect == "postgresql":
            await tx.exec_driver_sql("ALTER TABLE audit DISABLE TRIGGER ALL")
        else:
            for name in ("audit_no_update", "audit_no_delete"):
                await tx.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
        for statement in statements:
            await tx.exec_driver_sql(statement)


async def test_an_untouched_chain_is_sound(log: AuditLog, clock: FrozenClock) -> None:
    """Also with values that databases like to rewrite: large floats, U+0000, letters beyond ASCII."""
    empty = await log.verify()
    await fill(log, clock)

    check = await log.verify()

    assert (empty.sound, empty.records) == (True, 0)
    assert (check.sound, check.records, check.finding, check.sequence) == (True, 6, "", None)
    assert (await log.page("default")).items[0].details == {"number": 6, "share": 1e30, "text": "é\0–"}


@pytest.mark.parametrize(
    ("statements", "sequence", "word"),
    [
        (["UPDATE audit SET actor_name = 'somebody else' WHERE sequence = 3"], 3, "changed"),
        (["UPDATE audit SET details = '{\"number\":4}' WHERE sequence = 3"], 3, "changed"),
        (["UPDATE audit SET details = 'no JSON' WHERE sequence = 3"], 3, "changed"),
        (["UPDATE audit SET at = at + 1 WHERE sequence = 3"], 3, "changed"),
        (["UPDATE audit SET at = 9000000000000000000 WHERE sequence = 3"], 3, "changed"),
        (["UPDATE audit SET project = NULL WHERE sequence = 3"], 3, "changed"),
        (["UPDATE audit SET hash = previous WHERE sequence = 3"], 3, "changed"),
        (["DELETE FROM audit WHERE sequence = 3"], 3, "record 3 is missing"),
        (["DELETE FROM audit WHERE sequence <= 2"], 1, "record 1 is missing"),
        (["DELETE FROM audit WHERE sequence > 4"], 5, "2 record(s) are missing at the end"),
        (["DELETE FROM audit"], 1, "6 record(s) are missing at the end"),
        (["DELETE FROM audit", "DELETE FROM audit_head"], None, "head of the chain"),
        (["DELETE FROM audit_head"], None, "head of the chain"),
        (["UPDATE audit_head SET hash = 'x'"], None, "head of the chain"),
        (["UPDATE audit_head SET sequence = 5"], 6, "inserted at the end"),
        (
            [
                "UPDATE audit SET sequence = 100 WHERE sequence = 3",
                "UPDATE audit SET sequence = 3 WHERE sequence = 4",
                "UPDATE audit SET sequence = 4 WHERE sequence = 100",
            ],
            3,
            "changed",
        ),
        (
            [
                f"INSERT INTO audit SELECT 0, {OTHERS} FROM audit WHERE sequence = 1",
            ],
            1,
            "inserted",
        ),
        (
            [
                f"INSERT INTO audit SELECT 7, {OTHERS} FROM audit WHERE sequence = 6",
            ],
            7,
            "changed",
        ),
    ],
)
async def test_a_change_by_hand_is_found(
    log: AuditLog, catalog: Catalog, clock: FrozenClock, statements: list[str], sequence: int | None, word: str
) -> None:
    """Changed, removed, inserted, reordered or cut off: the first record that is wrong is named."""
    await fill(log, clock)
    await by_hand(catalog, *statements)

    check = await log.verify()

    assert not check.sound
    assert sequence == check.sequence
    assert word in check.finding


async def test_a_record_whose_hash_was_computed_anew_breaks_the_chain_after_it(
    log: AuditLog, catalog: Catalog, clock: FrozenClock
) -> None:
    """A forger who hashes one record again is found at the next one."""
    await fill(log, clock)
    third = next(r for r in (await log.page("default")).items if r.sequence == 3)
    forged = chain_hash(msgspec.structs.replace(third, actor_name="somebody else"))
    await by_hand(catalog, f"UPDATE audit SET actor_name = 'somebody else', hash = '{forged}' WHERE sequence = 3")

    check = await log.verify()

    assert (check.sound, check.sequence) == (False, 4)


async def test_an_anchor_shows_a_chain_that_was_written_anew(
    log: AuditLog, catalog: Catalog, clock: FrozenClock
) -> None:
    """Whoever owns the database can write all of it again, but not what was noted elsewhere."""
    await fill(log, clock)
    head = (await log.verify()).head
    await by_hand(
        catalog,
        "DELETE FROM audit",
        f"UPDATE audit_head SET sequence = 0, hash = '{'0' * 64}'",
    )
    clock.advance(days=1)
    await fill(log, clock, 7)

    assert (await log.verify()).sound
    assert "written anew" in (await log.verify(head)).finding
    assert (await log.verify((await log.verify()).head)).sound


@pytest.mark.parametrize("anchor", ["", "6", "x:" + "0" * 64, "6:12", "²:" + "0" * 64, "9" * 40 + ":" + "0" * 64])
async def test_what_is_no_anchor_is_refused(log: AuditLog, anchor: str) -> None:
    """Only what a check answered is one."""
    with pytest.raises(BadInput):
        await log.verify(anchor)


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor_name = 'x'", "DELETE FROM audit"])
async def test_the_engine_itself_refuses_to_change_records(
    log: AuditLog, catalog: Catalog, clock: FrozenClock, statement: str
) -> None:
    """Triggers keep careless programs off the table."""
    await fill(log, clock)

    with pytest.raises(IntegrityError, match="append-only"):
        async with catalog.write() as tx:
            await tx.exec_driver_sql(statement)

    assert (await log.verify()).sound


async def test_nothing_is_done_that_cannot_be_recorded(
    log: AuditLog, catalog: Catalog, ctx: Context, clock: FrozenClock
) -> None:
    """Without the head of the chain an audited operation fails and leaves nothing behind."""
    await fill(log, clock)
    await by_hand(catalog, "DELETE FROM audit_head")
    await ctx.get(Projects).ensure_default()

    with pytest.raises(Unavailable):
        await invoke(find("keys.create"), ctx, {"project": "default", "body": CreateKey(name="ci")})

    async with catalog.read() as tx:
        assert (await tx.execute(sa.select(sa.func.count()).select_from(api_keys))).scalar() == 0


async def test_concurrent_records_make_one_chain(log: AuditLog, clock: FrozenClock) -> None:
    """Forty at once, none lost, and the chain holds while a check reads it."""
    checks = [log.verify() for _ in range(5)]
    done = await asyncio.gather(*(log.record(entry(n, clock)) for n in range(40)), *checks)

    check = await log.verify()
    assert (check.sound, check.records) == (True, 40)
    assert all(c.sound for c in done[40:])


async def test_an_audited_operation_and_its_record_are_one_transaction(log: AuditLog, ctx: Context) -> None:
    """What failed is not recorded as done, what was done is recorded once, with who and what."""
    create = find("projects.create")
    ctx.project = None
    await invoke(create, ctx, {"body": CreateProject(slug="flights")})
    with pytest.raises(NameTaken):
        await invoke(create, ctx, {"body": CreateProject(slug="flights")})
    await invoke(create, ctx, {"body": CreateProject(slug="hotels")})

    records = (await log.page(None)).items

    assert [r.details for r in records] == [{"slug": "hotels"}, {"slug": "flights"}]
    assert {("projects.create", "done", "owner", "http")} == {
        (r.action, r.outcome, r.actor_id, r.origin) for r in records
    }


async def test_a_denied_attempt_is_recorded(log: AuditLog, services: Services) -> None:
    """Who tried what they may not is in the log."""
    viewer = Principal(kind="key", id="k1", name="key look", roles={"default": Role.VIEWER})

    asked = {"project": "default", "body": CreateKey(name="more")}
    with pytest.raises(Forbidden):
        await invoke(find("keys.create"), Context(services, viewer, "default"), asked)

    record = (await log.page("default")).items[0]
    assert (record.action, record.outcome, record.actor_id) == ("keys.create", "denied", "k1")


async def test_what_a_member_did_is_recorded_with_the_key_they_did_it_by(log: AuditLog, ctx: Context) -> None:
    """The member is who did it; which of their keys it was is beside it."""
    projects = ctx.get(Projects)
    await projects.create_key(ctx, CreateKey(name="root", role=Role.ADMIN, everywhere=True), None)
    ada = await projects.add_member(ctx, "default", AddMember(email="ada@example.org", role=Role.ADMIN))
    issued = await projects.create_key(ctx, CreateKey(name="laptop", role=Role.ADMIN, member=ada.id), "default")
    who = await projects.authenticate(issued.secret)

    await invoke(
        find("keys.create"), Context(ctx.services, who, "default"), {"project": "default", "body": CreateKey(name="ci")}
    )

    record = (await log.page("default")).items[0]
    assert (record.actor_kind, record.actor_id, record.details["actor_key"]) == ("member", ada.id, issued.key.id)
    assert record.details["key_id"] != issued.key.id


async def test_the_secret_of_a_key_is_not_in_the_log(log: AuditLog, ctx: Context) -> None:
    """Only the name, the role and the id are."""
    issued = await invoke(find("keys.create"), ctx, {"project": "default", "body": CreateKey(name="ci")})

    record = (await log.page("default")).items[0]

    assert issued.key.id == record.details["key_id"]
    assert issued.secret not in str(record)


async def test_records_are_filtered_and_paged(log: AuditLog, clock: FrozenClock) -> None:
    """By action, actor, outcome and time; a cursor goes on where the page ended."""
    await fill(log, clock)
    first = await log.page("default", limit=4)
    second = await log.page("default", limit=4, cursor=first.next)
    middle = await log.page("default", since=first.items[3].at, until=first.items[0].at)

    assert [r.sequence for r in first.items] == [6, 5, 4, 3]
    assert [r.sequence for r in second.items] == [2, 1]
    assert second.next is None
    assert [r.sequence for r in middle.items] == [5, 4, 3]
    assert (await log.page("other")).items == []
    assert (await log.page(None, outcome="denied")).items == []
    assert (await log.page(None, action="assets_")).items == []
    assert len((await log.page(None, action="assets.", actor="owner", outcome="done")).items) == 6


@pytest.mark.parametrize("cursor", ["e30", "eyJzZXF1ZW5jZSI6Ingi", "bnVsbA", "not a cursor", "eyJzZXF1ZW5jZSI6MWUzMH0"])
async def test_a_forged_cursor_is_refused(log: AuditLog, cursor: str) -> None:
    """A cursor of another shape is bad input, never an accident inside."""
    with pytest.raises(BadInput):
        await log.page(None, cursor=cursor)


async def test_only_an_admin_of_the_installation_sees_all_of_it(log: AuditLog, services: Services) -> None:
    """A project's admin reads the project's records."""
    admin = Principal(kind="key", id="k1", name="key a", roles={"default": Role.ADMIN})
    here = Context(services, admin, "default")

    assert (await invoke(find("audit.list"), here, {"project": "default"})).items == []
    with pytest.raises(Forbidden):
        await invoke(find("audit.list"), here, {"project": "default", "everywhere": True})
