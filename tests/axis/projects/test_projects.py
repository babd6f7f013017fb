"""Projects and members: slugs, archiving, roles, and that nobody is locked out."""

import asyncio

import pytest

from gimbal.axis.projects.audit import AuditLog
from gimbal.axis.projects.model import AddMember, ChangeMember, CreateKey, CreateProject
from gimbal.axis.projects.service import Projects
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import NOBODY, Context, Principal, Role, Services
from gimbal.kernel.errors import (
    BadInput,
    Conflict,
    Forbidden,
    NameTaken,
    NotAuthenticated,
    NotFound,
    NotReady,
    UnknownField,
)  # fmt: skip
from gimbal.kernel.operations import decode_body, find, invoke
from gimbal.testing.clock import FrozenClock

ROOT = CreateKey(name="root", role=Role.ADMIN, everywhere=True)


async def test_the_default_project_is_made_once(catalog: Catalog, clock: FrozenClock, ctx: Context) -> None:
    """Also by several processes that start at the same time."""
    starters = [Projects(catalog, clock) for _ in range(5)]
    await asyncio.gather(*(p.ensure_default() for p in starters))

    assert [p.slug for p in await starters[0].visible_to(ctx.principal)] == ["default"]
    assert (await AuditLog(catalog).verify()).sound


async def test_a_project_is_made_shown_and_listed(projects: Projects, log: AuditLog, ctx: Context) -> None:
    """With its title; the slug where none is given."""
    body = CreateProject(slug="flights", title="Flights")
    made = await invoke(find("projects.create"), ctx.within(None), {"body": body})

    assert made == await invoke(find("projects.show"), ctx.within("flights"), {"project": "flights"})
    assert [p.slug for p in await invoke(find("projects.list"), ctx.within(None), {})] == ["default", "flights"]
    assert (await projects.create(ctx, CreateProject(slug="hotels"))).title == "hotels"


async def test_one_slug_is_one_project(projects: Projects, ctx: Context) -> None:
    """Twenty at once make one; the others are told."""
    made = [projects.create(ctx, CreateProject(slug="flights")) for _ in range(20)]
    done = await asyncio.gather(*made, return_exceptions=True)

    assert sum(isinstance(d, NameTaken) for d in done) == 19


@pytest.mark.parametrize("slug", ["", "Flights", "-a", "a/b", "a" * 64, "flüge", "a\n", "a\0"])
async def test_what_is_no_slug_is_refused(projects: Projects, ctx: Context, slug: str) -> None:
    """With the rule."""
    with pytest.raises(BadInput, match="lower-case"):
        await projects.create(ctx, CreateProject(slug=slug))


async def test_a_project_that_is_not_there(projects: Projects, log: AuditLog, ctx: Context) -> None:
    """Every operation in it says so."""
    for op in ("projects.show", "members.list", "keys.list", "audit.list"):
        with pytest.raises(NotFound, match="nowhere"):
            await invoke(find(op), ctx.within("nowhere"), {"project": "nowhere"})


async def test_people_see_their_projects(projects: Projects, services: Services, ctx: Context) -> None:
    """A key of one project sees that one; whoever has none sees none."""
    await projects.create(ctx, CreateProject(slug="flights"))
    mine = Principal(kind="key", id="k", name="k", roles={"flights": Role.VIEWER})

    assert [p.slug for p in await projects.visible_to(mine)] == ["flights"]
    assert await projects.visible_to(NOBODY) == []


async def test_an_archived_project_is_read_and_not_changed(projects: Projects, log: AuditLog, ctx: Context) -> None:
    """Until it is taken back; keys can be revoked meanwhile."""
    await projects.create(ctx, CreateProject(slug="flights"))
    here = ctx.within("flights")
    issued = await invoke(find("keys.create"), here, {"project": "flights", "body": CreateKey(name="ci")})
    await invoke(find("projects.archive"), here, {"project": "flights"})

    assert (await invoke(find("projects.show"), here, {"project": "flights"})).archived
    with pytest.raises(NotReady, match="archived"):
        await invoke(find("keys.create"), here, {"project": "flights", "body": CreateKey(name="ci")})
    await invoke(find("keys.revoke"), here, {"project": "flights", "id": issued.key.id})
    await invoke(find("projects.archive"), here, {"project": "flights", "undo": True})
    await invoke(find("keys.create"), here, {"project": "flights", "body": CreateKey(name="ci")})


async def test_the_default_project_is_never_archived(projects: Projects, ctx: Context) -> None:
    """It is what commands mean when they name none."""
    with pytest.raises(Conflict):
        await projects.archive(ctx, "default", archived=True)


async def test_before_the_first_member_somebody_needs_a_key(projects: Projects, ctx: Context) -> None:
    """From then on the local owner is asked for one; a newcomer is not locked out by that."""
    with pytest.raises(NotReady, match="no admin has one"):
        await projects.add_member(ctx, "default", AddMember(email="ada@example.org"))
    assert not await projects.has_members()
    await projects.create_key(ctx, ROOT, None)

    await projects.add_member(ctx, "default", AddMember(email="ada@example.org"))

    assert await projects.has_members()


@pytest.mark.parametrize(
    "email", ["", "ada", "@", "ada@", "@example.org", "a b@example.org", "a\0@b", "a" * 260 + "@b.c"]
)
async def test_what_is_no_address_is_refused(projects: Projects, ctx: Context, email: str) -> None:
    """Nothing is stored."""
    await projects.create_key(ctx, ROOT, None)
    with pytest.raises(BadInput):
        await projects.add_member(ctx, "default", AddMember(email=email))
    assert await projects.members("default") == []


async def test_members_are_added_changed_and_removed(projects: Projects, log: AuditLog, ctx: Context) -> None:
    """Once per project and address, whatever the case of its letters; all of it is in the audit log."""
    await projects.create_key(ctx, ROOT, None)
    add, change, remove = find("members.add"), find("members.change"), find("members.remove")
    here = {"project": "default"}
    ada = await invoke(add, ctx, here | {"body": AddMember(email="Ada@Example.org", name="Ada")})
    with pytest.raises(NameTaken):
        await invoke(add, ctx, here | {"body": AddMember(email="ada@example.org")})
    changed = await invoke(change, ctx, here | {"id": ada.id, "body": ChangeMember(role=Role.RELEASER)})
    listed = await invoke(find("members.list"), ctx, here)
    await invoke(remove, ctx, here | {"id": ada.id})

    assert (ada.email, ada.name, ada.role) == ("ada@example.org", "Ada", Role.VIEWER)
    assert [changed] == listed
    assert changed.role is Role.RELEASER
    assert await projects.members("default") == []
    assert [r.action for r in (await log.page("default")).items] == ["members.remove", "members.change", "members.add"]
    for op, more in ((remove, {}), (change, {"body": ChangeMember(role=Role.VIEWER)})):
        with pytest.raises(NotFound):
            await invoke(op, ctx, here | {"id": ada.id} | more)


async def test_the_last_admin_of_an_installation_with_members_stays(
    projects: Projects, services: Services, ctx: Context
) -> None:
    """A member whose key is the only admin's can be neither removed nor made less."""
    root = await projects.create_key(ctx, ROOT, None)
    ada = await projects.add_member(ctx, "default", AddMember(email="ada@example.org", role=Role.ADMIN))
    bob = await projects.add_member(ctx, "default", AddMember(email="bob@example.org"))
    await projects.create_key(ctx, CreateKey(name="a", role=Role.ADMIN, member=ada.id), "default")
    with pytest.raises(Conflict, match="no admin"):
        await projects.revoke_key(ctx, root.key.id, None)
    await projects.remove_member(ctx, "default", bob.id)
    await projects.change_member(ctx, "default", ada.id, Role.DEVELOPER)

    assert [m.role for m in await projects.members("default")] == [Role.DEVELOPER]


async def test_roles_say_who_may_what(projects: Projects, log: AuditLog, services: Services) -> None:
    """Viewer < developer < releaser < admin; nobody at all is asked for a key."""
    for role in Role:
        who = Context(services, Principal(kind="key", id="k", name="k", roles={"default": role}), "default")
        await invoke(find("members.list"), who, {"project": "default"})
        if role is Role.ADMIN:
            await invoke(find("keys.list"), who, {"project": "default"})
        else:
            with pytest.raises(Forbidden):
                await invoke(find("keys.list"), who, {"project": "default"})
        with pytest.raises(Forbidden):
            await invoke(find("projects.create"), who.within(None), {"body": CreateProject(slug="x")})
    with pytest.raises(NotAuthenticated):
        await invoke(find("members.list"), Context(services, NOBODY, "default"), {"project": "default"})


def test_a_body_with_an_unknown_field_or_role_says_where() -> None:
    """So that a misspelt field is not lost."""
    with pytest.raises(UnknownField, match="roles") as unknown:
        decode_body(b'{"name": "x", "roles": "admin"}', CreateKey)
    with pytest.raises(BadInput, match="god") as wrong:
        decode_body(b'{"name": "x", "role": "god"}', CreateKey)
    assert unknown.value.where == "roles"
    assert wrong.value.where == "role"
