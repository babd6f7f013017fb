"""The operation table: what is declared, who may, and what is recorded."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from tests.kernel.records import Body, Moved, Part

from gimbal.kernel import operations as table
from gimbal.kernel.context import NOBODY, Context, Permission, Principal, Role, Services
from gimbal.kernel.errors import Conflict, Forbidden, NotAuthenticated, NotFound, NotReady
from gimbal.kernel.events import Event, EventBus
from gimbal.kernel.http import Download, Upload
from gimbal.kernel.operations import (
    AuditEntry,
    AuditTrail,
    Operation,
    ProjectGuard,
    find,
    invoke,
    operation,
)  # fmt: skip
from gimbal.kernel.refs import Ref


class Trail:
    """An audit trail in memory; `append` works within what the handler calls a transaction."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    async def append(self, tx: Any, entry: AuditEntry) -> None:
        """Keep the entry."""
        self.entries.append(entry)

    async def record(self, entry: AuditEntry) -> None:
        """Keep the entry."""
        self.entries.append(entry)


@pytest.fixture(autouse=True)
def _own_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_table", {})


@pytest.fixture
def trail(services: Services) -> Trail:
    """Give the trail that the operations of the test are recorded in."""
    found = Trail()
    services.register(AuditTrail, found)  # type: ignore[type-abstract]
    return found


def declare(handler: Callable[..., Any], path: str = "/projects/{project}/things", **given: Any) -> Operation:
    defaults: dict[str, Any] = {"name": "things.make", "allow": Permission.DEVELOP, "audited": True}
    operation("POST", path, **(defaults | given))(handler)
    return find((defaults | given)["name"])


async def commit(ctx: Context) -> None:
    """Do what the catalog does around a transaction."""
    before, ctx.before_commit = ctx.before_commit, []
    for hook in before:
        await hook(None)
    await ctx.settle()


def test_a_row_says_what_the_function_is() -> None:
    """Places, types, defaults and words come from the signature and the docstring."""

    async def make(
        ctx: Context, project: str, ref: Ref, body: Body, deep: Annotated[bool, "How deep."] = False, limit: int = 5
    ) -> list[Part]:
        """Make a thing.

        It is made at once.
        """
        return []

    row = declare(make, "/projects/{project}/things/{ref}")

    assert (row.group, row.verb, row.status, row.streams) == ("things", "make", 200, False)
    assert (row.summary, row.description) == ("Make a thing.", "It is made at once.")
    assert [(p.name, p.place, p.required) for p in row.parameters] == [
        ("project", "path", True), ("ref", "path", True), ("body", "body", True), ("deep", "query", False), ("limit", "query", False),
    ]  # fmt: skip
    assert {p.name: p.doc for p in row.parameters}["deep"] == "How deep."
    assert row.parameters[4].default == 5
    assert row.body is not None
    assert row.body.type is Body


def test_raw_bytes_in_or_out_are_streams() -> None:
    """And nothing as a result is 204."""

    async def up(ctx: Context, body: Upload) -> None:
        """Send."""

    async def down(ctx: Context) -> Download:
        """Fetch."""
        raise NotImplementedError

    assert declare(up, "/up", name="a.up").streams
    assert declare(up, "/up", name="a.up").status == 204
    assert declare(down, "/down", name="a.down").streams


def test_names_and_routes_are_claimed_once() -> None:
    """A clash raises at import; the same function again, or the same text in another method, is fine."""

    async def one(ctx: Context, id: str) -> None:  # noqa: A002 - the name in the path
        """Do one."""

    async def two(ctx: Context, name: str) -> None:
        """Do two."""

    async def elsewhere(ctx: Context, id: str) -> None:  # noqa: A002 - the name in the path
        """Do one in another room."""

    elsewhere.__qualname__, elsewhere.__module__ = one.__qualname__, "gimbal.other"
    declare(one, "/things/{id}", name="things.one")
    declare(one, "/things/{id}", name="things.one")
    for handler, path, name in (
        (two, "/others/{name}", "things.one"), (two, "/things/{name}", "things.two"), (elsewhere, "/x/{id}", "things.one"),
    ):  # fmt: skip
        with pytest.raises(RuntimeError, match=r"clashes with things\.one"):
            declare(handler, path, name=name)
    operation("GET", "/things/{name}", name="things.two", allow=Permission.VIEW)(two)
    with pytest.raises(NotFound):
        find("things.three")


def test_a_path_without_its_argument_raises_at_import() -> None:
    """So that no route has a place that nobody reads."""

    async def lost(ctx: Context) -> None:
        """Lose something."""

    with pytest.raises(RuntimeError, match="does not take"):
        declare(lost, "/things/{id}", name="things.lost")


async def plain(ctx: Context, project: str) -> str:
    """Do nothing but answer."""
    return project


async def test_the_permission_comes_first(services: Services, trail: Trail) -> None:
    """Nobody is asked for a key, a viewer is refused and recorded, a developer gets in."""
    op = declare(plain)

    def as_(role: Role) -> Context:
        return Context(services, Principal(kind="key", id="k", name="k", roles={"default": role}), "default")

    with pytest.raises(NotAuthenticated):
        await invoke(op, Context(services, NOBODY, "default"), {"project": "default"})
    with pytest.raises(Forbidden, match="develop"):
        await invoke(op, as_(Role.VIEWER), {"project": "default"})
    with pytest.raises(Forbidden):
        await invoke(op, as_(Role.ADMIN).within("other"), {"project": "other"})
    assert await invoke(op, as_(Role.DEVELOPER), {"project": "default"}) == "default"
    assert [e.outcome for e in trail.entries] == ["denied", "denied", "done"]


def test_roles_hold_those_below_them() -> None:
    """In one project or everywhere; the higher of the two counts."""
    levels = [Permission.VIEW, Permission.DEVELOP, Permission.RELEASE, Permission.ADMIN]
    for rank, role in enumerate(Role):
        here = Principal(kind="key", id="k", name="k", roles={"a": role})
        everywhere = Principal(kind="key", id="k", name="k", everywhere=role)
        for needed, permission in enumerate(levels):
            assert here.may(permission, "a") is (rank >= needed)
            assert everywhere.may(permission, "new") is (rank >= needed)
            assert here.may(permission, "b") is False
            assert here.may(permission, None) is (permission is Permission.VIEW)
    both = Principal(kind="key", id="k", name="k", everywhere=Role.VIEWER, roles={"a": Role.ADMIN})
    assert both.may(Permission.ADMIN, "a")
    assert not both.may(Permission.DEVELOP, "b")
    assert NOBODY.may(Permission.OPEN, None)
    assert not NOBODY.may(Permission.VIEW, None)


async def test_an_archived_project_is_closed_by_its_guard(ctx: Context, services: Services, trail: Trail) -> None:
    """The guard is asked after the permission and before anything is done."""

    class Closed:
        async def admit(self, ctx: Context, op: Operation) -> None:
            """Refuse."""
            raise NotReady("archived")

    services.register(ProjectGuard, Closed())  # type: ignore[type-abstract]
    with pytest.raises(NotReady):
        await invoke(declare(plain), ctx, {"project": "default"})
    assert trail.entries == []


async def test_what_is_done_is_recorded_in_its_transaction(ctx: Context, trail: Trail) -> None:
    """Once, with its arguments and what the operation added; the body is not copied."""

    async def make(ctx: Context, project: str, body: Body, deep: bool = False) -> None:
        """Make a thing."""
        ctx.audit(found=3)
        await commit(ctx)
        assert len(trail.entries) == 1
        await commit(ctx)

    await invoke(declare(make), ctx, {"project": "default", "body": Body(name="secret"), "deep": True})

    entry = trail.entries[0]
    assert len(trail.entries) == 1
    assert (entry.action, entry.outcome, entry.project, entry.actor_id) == ("things.make", "done", "default", "owner")
    assert entry.details == {"deep": "True", "found": 3}


async def test_what_failed_is_neither_recorded_nor_told(ctx: Context, services: Services, trail: Trail) -> None:
    """Nor by whatever the same context does next."""
    told: list[Event] = []

    async def listen(event: Moved) -> None:
        told.append(event)

    async def fail(ctx: Context, project: str) -> None:
        """Fail."""
        ctx.audit(half=True)
        ctx.emit(Moved(project=project, what="x"))
        raise Conflict("no")

    services.get(EventBus).subscribe(Moved, listen)
    failing, working = declare(fail), declare(plain, "/x/{project}", name="things.plain")
    with pytest.raises(Conflict):
        await invoke(failing, ctx, {"project": "default"})
    assert trail.entries == []
    await invoke(working, ctx, {"project": "default"})

    assert [(e.action, e.details) for e in trail.entries] == [("things.plain", {})]
    assert told == []


async def test_events_come_after_the_work(ctx: Context, services: Services, trail: Trail) -> None:
    """A handler that fails is counted and stops neither the others nor the operation."""
    steps: list[str] = []

    async def broken(event: Moved) -> None:
        steps.append("broken")
        raise RuntimeError

    async def listen(event: Moved) -> None:
        steps.append(event.what)

    async def make(ctx: Context, project: str) -> str:
        """Make a thing."""
        ctx.emit(Moved(project=project, what="told"))
        steps.append("made")
        return "answer"

    bus = services.get(EventBus)
    bus.subscribe(Moved, broken)
    bus.subscribe(Moved, listen)

    assert await invoke(declare(make), ctx, {"project": "default"}) == "answer"
    assert steps == ["made", "broken", "told"]
    assert bus.failures == 1
