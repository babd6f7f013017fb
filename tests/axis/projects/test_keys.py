"""API keys: what is kept of them, who they are, and when they stop to work."""

import asyncio
import hashlib

import msgspec
import pytest
import sqlalchemy as sa

from gimbal.axis.projects import keys as keys_module
from gimbal.axis.projects.keys import new_secret
from gimbal.axis.projects.model import AddMember, CreateKey, CreateProject
from gimbal.axis.projects.service import Projects
from gimbal.axis.projects.store import api_keys
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context, Permission, Principal, Role, Services
from gimbal.kernel.errors import BadInput, Conflict, Forbidden, NotAuthenticated, NotFound
from gimbal.kernel.operations import find, invoke
from gimbal.kernel.settings import ServerSettings, Settings
from gimbal.testing.clock import FrozenClock

ADMIN_EVERYWHERE = CreateKey(name="root", role=Role.ADMIN, everywhere=True)


def off_loopback(services: Services) -> None:
    services.register(Settings, Settings(server=ServerSettings(host="0.0.0.0")))


async def test_a_secret_is_shown_once_and_kept_as_a_hash(projects: Projects, ctx: Context, catalog: Catalog) -> None:
    """Nothing in the database gives the secret away."""
    issued = await projects.create_key(ctx, CreateKey(name="ci"), "default")

    async with catalog.read() as tx:
        row = (await tx.execute(sa.select(api_keys))).mappings().one()
    assert issued.secret.startswith("gk_")
    assert len(issued.secret) == 46
    assert hashlib.sha256(issued.secret.encode()).hexdigest() == row["secret_hash"]
    assert issued.secret not in str(dict(row))
    assert issued.secret not in msgspec.json.encode(await projects.keys("default")).decode()
    assert issued.secret.startswith(issued.key.prefix)


def test_secrets_are_letters_and_digits_and_never_the_same() -> None:
    """43 places of base 62 hold 256 bits."""
    made = {new_secret() for _ in range(1000)}

    assert len(made) == 1000
    assert all(s[3:].isascii() and s[3:].isalnum() and len(s) == 46 for s in made)
    assert 62**43 > 2**256


async def test_a_key_is_its_project_and_role(projects: Projects, ctx: Context) -> None:
    """A developer's key develops in its project and can nothing elsewhere."""
    issued = await projects.create_key(ctx, CreateKey(name="ci"), "default")

    who = await projects.authenticate(issued.secret)

    assert ("key", issued.key.id, "key ci") == (who.kind, who.id, who.name)
    assert who.may(Permission.DEVELOP, "default")
    assert not who.may(Permission.RELEASE, "default")
    assert not who.may(Permission.VIEW, "flights")


@pytest.mark.parametrize("secret", ["", "gk_", "x", "gk_" + "0" * 43, "ü", "\ud800", "g" * 100_000])
async def test_an_unknown_key_is_refused(projects: Projects, secret: str) -> None:
    """Whatever the text is."""
    with pytest.raises(NotAuthenticated):
        await projects.authenticate(secret)


async def test_a_key_expires_at_its_time(projects: Projects, ctx: Context, clock: FrozenClock) -> None:
    """Also when it was used just before."""
    issued = await projects.create_key(ctx, CreateKey(name="ci", days=1), "default")
    clock.advance(hours=23, minutes=59)
    await projects.authenticate(issued.secret)
    clock.advance(minutes=1)

    with pytest.raises(NotAuthenticated, match="expired"):
        await projects.authenticate(issued.secret)


async def test_a_revoked_key_is_worthless_at_once(projects: Projects, ctx: Context) -> None:
    """In this process immediately, a second time changes nothing."""
    issued = await projects.create_key(ctx, CreateKey(name="ci"), "default")
    await projects.authenticate(issued.secret)
    first = await projects.revoke_key(ctx, issued.key.id, "default")

    with pytest.raises(NotAuthenticated, match="revoked"):
        await projects.authenticate(issued.secret)
    assert first == await projects.revoke_key(ctx, issued.key.id, "default")


async def test_a_key_revoked_while_it_is_looked_up_is_not_remembered(projects: Projects, ctx: Context) -> None:
    """Twenty callers at once cannot bring a revoked key back into the cache."""
    issued = await projects.create_key(ctx, CreateKey(name="ci"), "default")
    callers = [projects.authenticate(issued.secret) for _ in range(20)]
    await asyncio.gather(*callers, projects.revoke_key(ctx, issued.key.id, "default"), return_exceptions=True)

    with pytest.raises(NotAuthenticated):
        await projects.authenticate(issued.secret)


async def test_another_process_learns_of_it_when_its_cache_runs_out(
    projects: Projects, ctx: Context, catalog: Catalog, clock: FrozenClock
) -> None:
    """Which is at most one second."""
    other = Projects(catalog, clock)
    issued = await projects.create_key(ctx, CreateKey(name="ci"), "default")
    await other.authenticate(issued.secret)
    await projects.revoke_key(ctx, issued.key.id, "default")

    assert keys_module.CACHE_S <= 1.0
    async with asyncio.timeout(5):
        while True:
            try:
                await other.authenticate(issued.secret)
            except NotAuthenticated:
                break
            await asyncio.sleep(0.02)


async def test_when_a_key_was_last_used_is_known_to_the_hour(
    projects: Projects, ctx: Context, catalog: Catalog, clock: FrozenClock
) -> None:
    """Not every request is a write."""
    issued = await projects.create_key(ctx, CreateKey(name="ci"), "default")
    never = (await projects.keys("default"))[0].last_used_at
    first = clock.now()
    await projects.authenticate(issued.secret)
    clock.advance(minutes=59)
    await Projects(catalog, clock).authenticate(issued.secret)
    within = (await projects.keys("default"))[0].last_used_at
    clock.advance(minutes=1)
    await Projects(catalog, clock).authenticate(issued.secret)

    assert never is None
    assert first == within
    assert clock.now() == (await projects.keys("default"))[0].last_used_at


@pytest.mark.parametrize("body", [
    CreateKey(name=""), CreateKey(name=" "), CreateKey(name="x" * 101), CreateKey(name="a\0b"), CreateKey(name="a\nb"),
    CreateKey(name="x", days=0), CreateKey(name="x", days=4000), CreateKey(name="x", days=-1),
])  # fmt: skip
async def test_a_key_that_makes_no_sense_is_refused(projects: Projects, ctx: Context, body: CreateKey) -> None:
    """Nothing is stored."""
    with pytest.raises(BadInput):
        await projects.create_key(ctx, body, "default")
    assert await projects.keys("default") == []


async def test_nobody_gives_more_than_they_have(projects: Projects, services: Services, ctx: Context) -> None:
    """An admin of one project makes no key for the installation, a releaser no admin."""
    await projects.create(ctx, CreateProject(slug="flights"))
    admin = Context(services, Principal(kind="key", id="a", name="a", roles={"flights": Role.ADMIN}), "flights")
    releaser = Context(services, Principal(kind="key", id="r", name="r", roles={"flights": Role.RELEASER}), "flights")

    await projects.create_key(admin, CreateKey(name="x", role=Role.ADMIN), "flights")
    await projects.create_key(releaser, CreateKey(name="x", role=Role.RELEASER), "flights")
    for who, role, project in [(admin, Role.VIEWER, None), (admin, Role.VIEWER, "default"), (releaser, Role.ADMIN, "flights")]:  # fmt: skip
        with pytest.raises(Forbidden):
            await projects.create_key(who, CreateKey(name="x", role=role), project)


async def test_keys_of_the_installation_are_made_listed_and_revoked_by_its_admins(
    projects: Projects, log: object, services: Services, ctx: Context
) -> None:
    """A project's admin neither sees them nor can revoke them."""
    issued = await invoke(find("keys.create"), ctx, {"project": "default", "body": ADMIN_EVERYWHERE})
    admin = Context(services, Principal(kind="key", id="a", name="a", roles={"default": Role.ADMIN}), "default")

    assert (await projects.authenticate(issued.secret)).everywhere is Role.ADMIN
    assert [issued.key.id] == [k.id for k in await invoke(find("keys.list"), ctx, {"project": "default"})]
    assert await invoke(find("keys.list"), admin, {"project": "default"}) == []
    with pytest.raises(NotFound):
        await invoke(find("keys.revoke"), admin, {"project": "default", "id": issued.key.id})
    revoked = await invoke(find("keys.revoke"), ctx, {"project": "default", "id": issued.key.id})
    assert revoked.revoked_at is not None


async def test_a_key_of_another_project_is_not_there(projects: Projects, ctx: Context) -> None:
    """It is neither listed nor revoked from here."""
    await projects.create(ctx, CreateProject(slug="flights"))
    issued = await projects.create_key(ctx, CreateKey(name="ci"), "flights")

    assert await projects.keys("default") == []
    with pytest.raises(NotFound):
        await projects.revoke_key(ctx, issued.key.id, "default")


async def test_a_members_key_can_no_more_than_they_and_goes_with_them(projects: Projects, ctx: Context) -> None:
    """A changed role counts at once; without the member the key is worth nothing."""
    await projects.create_key(ctx, ADMIN_EVERYWHERE, None)
    ada = await projects.add_member(ctx, "default", AddMember(email="Ada@example.org", role=Role.DEVELOPER))
    issued = await projects.create_key(ctx, CreateKey(name="laptop", role=Role.RELEASER, member=ada.id), "default")

    who = await projects.authenticate(issued.secret)
    assert ("member", ada.id, "ada@example.org", {"default": Role.DEVELOPER}) == (
        who.kind, who.id, who.name, who.roles,
    )  # fmt: skip
    assert (who.key_id, who.key_name) == (issued.key.id, "laptop")
    await projects.change_member(ctx, "default", ada.id, Role.ADMIN)
    assert (await projects.authenticate(issued.secret)).roles == {"default": Role.RELEASER}
    await projects.remove_member(ctx, "default", ada.id)
    with pytest.raises(NotAuthenticated, match="revoked"):
        await projects.authenticate(issued.secret)
    with pytest.raises(NotFound):
        await projects.create_key(ctx, CreateKey(name="laptop", member=ada.id), "default")


async def test_work_that_a_member_asked_for_by_a_key_ends_with_the_key(projects: Projects, ctx: Context) -> None:
    """Until then it is done with no more than they had, whatever they became meanwhile; without a key it goes on."""
    await projects.create_key(ctx, ADMIN_EVERYWHERE, None)
    ada = await projects.add_member(ctx, "default", AddMember(email="ada@example.org", role=Role.DEVELOPER))
    issued = await projects.create_key(ctx, CreateKey(name="laptop", role=Role.RELEASER, member=ada.id), "default")
    who = await projects.authenticate(issued.secret)

    await projects.change_member(ctx, "default", ada.id, Role.ADMIN)
    assert (await projects.standing(who, "default")).roles == {"default": Role.DEVELOPER}
    await projects.revoke_key(ctx, issued.key.id, "default")
    with pytest.raises(NotAuthenticated, match="revoked"):
        await projects.standing(who, "default")
    herself = msgspec.structs.replace(who, key_id="", key_name="")
    assert (await projects.standing(herself, "default")).roles == {"default": Role.DEVELOPER}


async def test_an_admin_key_is_a_credential_until_it_expires_or_is_revoked(
    projects: Projects, ctx: Context, clock: FrozenClock
) -> None:
    """What decides whether Gimbal may listen off loopback."""
    none = await projects.has_admin_key()
    await projects.create_key(ctx, CreateKey(name="viewer", role=Role.VIEWER), "default")
    weak = await projects.has_admin_key()
    issued = await projects.create_key(ctx, CreateKey(name="a", role=Role.ADMIN, days=2), "default")
    there = await projects.has_admin_key()
    clock.advance(days=2)
    expired = await projects.has_admin_key()
    clock.advance(days=-1)
    await projects.revoke_key(ctx, issued.key.id, "default")

    assert [none, weak, there, expired, await projects.has_admin_key()] == [False, False, True, False, False]


async def test_off_loopback_the_last_admin_key_stays(projects: Projects, services: Services, ctx: Context) -> None:
    """Otherwise nobody could get in; with another one it goes."""
    off_loopback(services)
    first = await projects.create_key(ctx, ADMIN_EVERYWHERE, None)
    with pytest.raises(Conflict, match="no admin"):
        await projects.revoke_key(ctx, first.key.id, None)
    await projects.authenticate(first.secret)
    await projects.create_key(ctx, ADMIN_EVERYWHERE, None)

    await projects.revoke_key(ctx, first.key.id, None)

    with pytest.raises(NotAuthenticated):
        await projects.authenticate(first.secret)


async def test_of_two_who_revoke_each_other_one_stays(projects: Projects, services: Services, ctx: Context) -> None:
    """Also when both are quick."""
    off_loopback(services)
    issued = [await projects.create_key(ctx, ADMIN_EVERYWHERE, None) for _ in range(2)]

    done = await asyncio.gather(
        *(projects.revoke_key(Context(services, ctx.principal), i.key.id, None) for i in issued),
        return_exceptions=True,
    )

    assert sum(isinstance(d, Conflict) for d in done) == 1
    assert await projects.has_admin_key()


async def test_on_loopback_without_members_the_local_owner_is_enough(projects: Projects, ctx: Context) -> None:
    """There every key can go."""
    issued = await projects.create_key(ctx, ADMIN_EVERYWHERE, None)

    assert (await projects.revoke_key(ctx, issued.key.id, None)).revoked_at


async def test_a_key_says_what_its_calls_are_for(projects: Projects, ctx: Context) -> None:
    """Where the caller does not say; a key that says nothing adds nothing."""
    issued = await projects.create_key(
        ctx, CreateKey(name="bot", feature="support", tags=["team:help", "eu"]), "default"
    )
    plain = await projects.create_key(ctx, CreateKey(name="plain"), "default")

    assert (await projects.authenticate(issued.secret)).attribution == {
        "feature": "support",
        "tags": ["team:help", "eu"],
    }
    assert (await projects.authenticate(plain.secret)).attribution == {}
    shown = {key.name: (key.feature, key.user, key.tags) for key in await projects.keys("default")}
    assert shown == {"bot": ("support", "", ["team:help", "eu"]), "plain": ("", "", [])}
    with pytest.raises(BadInput):
        await projects.create_key(ctx, CreateKey(name="long", feature="x" * 257), "default")
    with pytest.raises(BadInput):
        await projects.create_key(ctx, CreateKey(name="many", tags=["t"] * 51), "default")
