"""The page of members and keys, served by the real application to an admin who signed in."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.browser import OpenPage, browser_page
from tests.served import serve
from tests.sqlite import catalog_address  # noqa: F401 - a fixture

import gimbal.axis.projects.pages  # noqa: F401 - fills the table of pages
from gimbal.axis.projects.audit import AuditLog
from gimbal.axis.projects.model import AddMember, CreateKey
from gimbal.axis.projects.service import Projects
from gimbal.kernel.context import Context, Role, Services
from gimbal.kernel.settings import Settings
from gimbal.testing.clock import FrozenClock

__all__ = ["browser_page"]


@pytest.fixture
async def site(
    projects: Projects, log: AuditLog, services: Services, ctx: Context, clock: FrozenClock, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """Serve an installation with an admin key; yield a client that holds it."""
    services.register(Settings, Settings())
    admin = await projects.create_key(ctx, CreateKey(name="admin", role=Role.ADMIN), "default")
    clock.advance(hours=3)
    async with serve(services, tmp_path / "cache") as url:
        cookies = {"gimbal_key": admin.secret}
        headers = {"authorization": f"Bearer {admin.secret}"}
        async with httpx.AsyncClient(base_url=url, cookies=cookies, headers=headers) as client:
            yield client


async def post(site: httpx.AsyncClient, path: str, **form: str) -> str:
    """Send a form, follow where it leads, and return the page."""
    reply = await site.post(f"/p/default{path}", data=form, follow_redirects=True)
    assert reply.status_code == 200
    return reply.text


def told(page: str) -> str:
    """Return what the page says about the form that was just sent."""
    found = re.search(r"data-flash>.*?<p>(.*?)</p>", page, re.DOTALL)
    return found[1] if found else ""


async def test_a_member_from_first_to_last(site: httpx.AsyncClient, projects: Projects) -> None:
    """Added, given another role, given a key that cannot do more, removed together with the key."""
    page = await post(site, "/access/members", email="ada@example.org", name="Ada <b>L</b>", role="developer")
    assert "Ada &lt;b&gt;L&lt;/b&gt; is developer now" in told(page)
    (ada,) = await projects.members("default")
    assert ada.role is Role.DEVELOPER

    page = await post(site, f"/access/members/{ada.id}", role="viewer")
    assert "is viewer now" in told(page)
    page = await post(site, "/access/keys", name="ada's laptop", role="admin", member=ada.id, days="30")
    secret = re.search(r"<code>(gk_\w+)</code>", page)
    assert secret is not None
    assert (await projects.authenticate(secret[1])).roles == {"default": Role.VIEWER}

    page = await post(site, f"/access/members/{ada.id}", remove="yes")
    assert "keys are revoked" in told(page)
    assert await projects.members("default") == []
    assert [key.revoked_at is not None for key in await projects.keys("default") if key.member_id] == [True]


NONSENSE: list[tuple[str, dict[str, str], str]] = [
    ("/access/members", {"email": "nobody", "role": "viewer"}, "is not an address"),
    ("/access/members", {"email": "ada@example.org", "role": "queen"}, "no role"),
    ("/access/members", {"role": "viewer"}, "email is empty"),
    ("/access/members/none", {"role": "viewer"}, "none"),
    ("/access/keys", {"role": "viewer", "name": ""}, "name is empty"),
    ("/access/keys", {"role": "viewer", "name": "x", "days": "soon"}, "not a number of days"),
    ("/access/keys", {"role": "viewer", "name": "x", "member": "none"}, "none"),
    ("/access/keys", {"role": "viewer", "name": "x", "everywhere": "true"}, "admin"),
    ("/access/keys/none/revoke", {"sure": "yes"}, "none"),
]


async def test_a_form_that_makes_no_sense_changes_nothing(site: httpx.AsyncClient, projects: Projects) -> None:
    """It is told on the page, in words."""
    heard = [(path, form, told(await post(site, path, **form))) for path, form, _ in NONSENSE]

    unsaid = [said for said, (_, _, words) in zip(heard, NONSENSE, strict=True) if words not in said[2]]
    assert unsaid == []
    assert await projects.members("default") == []
    assert len(await projects.keys("default")) == 1


async def test_what_is_done_there_is_audited_as_done_there(site: httpx.AsyncClient, log: AuditLog) -> None:
    """By whom, and from the console; the secret is in no record."""
    page = await post(site, "/access/keys", name="ci", role="developer")
    secret = re.search(r"<code>(gk_\w+)</code>", page)

    (record, *_) = (await log.page("default")).items
    assert secret is not None
    assert (record.action, record.origin, record.actor_name) == ("keys.create", "console", "key admin")
    assert secret[1] not in str(record)


async def test_one_who_is_no_admin_sees_none_of_it(site: httpx.AsyncClient, projects: Projects, ctx: Context) -> None:
    """Neither the page nor its forms."""
    key = await projects.create_key(ctx, CreateKey(name="ci", role=Role.RELEASER), "default")
    theirs = {"authorization": f"Bearer {key.secret}", "cookie": f"gimbal_key={key.secret}"}

    assert (await site.get("/p/default/access", headers=theirs)).status_code == 403
    reply = await site.post("/p/default/access/keys", data={"name": "x", "role": "viewer"}, headers=theirs)
    assert reply.status_code == 403
    assert len(await projects.keys("default")) == 2


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
async def test_members_fit_the_window(
    site: httpx.AsyncClient, projects: Projects, ctx: Context, browser_page: OpenPage, width: int
) -> None:
    """A long name and its buttons too."""
    await projects.create_key(ctx, CreateKey(name="all", role=Role.ADMIN, everywhere=True), None)
    await projects.add_member(ctx, "default", AddMember(email=f"{'ada.' * 20}lovelace@example.org", role=Role.ADMIN))
    opened = await browser_page(f"{site.base_url}/sign-in?back=/p/default/access", width=width)
    await opened.page.get_by_label("API key").fill(site.headers["authorization"].removeprefix("Bearer "))
    await opened.page.get_by_role("button", name="Sign in").click()
    await opened.page.wait_for_url("**/p/default/access")

    assert await opened.page.get_by_role("button", name="Remove").count() == 1
    assert await opened.overflow() == []
    assert (
        await opened.page.locator(".table-box").evaluate_all(
            "(all) => all.filter((e) => e.scrollWidth > e.clientWidth).length"
        )
        == 0
    )
    assert opened.complaints == []
