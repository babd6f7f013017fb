"""The console's cookie: how it is set and taken away, and that no other site gains by it."""

from http.cookies import SimpleCookie

import pytest
from tests.faces.server.asking import NEW, PROJECTS, told

from gimbal.axis.projects.service import Projects
from gimbal.faces.server.access import cookie_secret
from gimbal.faces.server.exchange import Exchange
from gimbal.kernel.http import BodyRoom


async def sign_in(client, secret: str, **more: str):
    return await client.post("/sign-in", data={"key": secret, **more})


async def test_signing_in_sets_a_cookie_that_scripts_and_other_sites_never_get(small):
    secret = (await small.key()).secret
    async with small.client(address="10.0.0.5", allowed_hosts=("gimbal.lan",)) as client:
        reply = await sign_in(client, secret)
        jar = SimpleCookie(reply.headers["set-cookie"])["gimbal_key"]
        page = await client.get("/api/v1/projects")
        secure = await client.post("https://gimbal.lan/sign-in", data={"key": secret})

    assert reply.status_code == 303
    assert jar.value == secret
    assert (jar["httponly"], jar["samesite"], jar["path"]) == (True, "Strict", "/")
    assert not jar["secure"]
    assert page.status_code == 200
    assert "Secure" in secure.headers["set-cookie"]


@pytest.mark.parametrize("key", ["gk_wrong", "x; Domain=evil.example", "a\r\nset-cookie: b=c", "none", ""])
async def test_a_wrong_key_sets_no_cookie(small, key):
    async with small.client(address="10.0.0.5") as client:
        reply = await sign_in(client, key)

    assert reply.status_code in {400, 401}
    assert "set-cookie" not in reply.headers
    assert reply.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("back", "location"),
    [
        ("/p/default/runs?status=failed", "/p/default/runs?status=failed"),
        ("/p/default/assets/model:a%2Fb", "/p/default/assets/model:a%2Fb"),
        ("/p/Ü", "/p/%C3%9C"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\r\nset-cookie: b=c", "/"),
        ("/sign-in", "/"),
        ("", "/"),
    ],
)
async def test_after_signing_in_one_goes_back_to_a_page_of_ours(small, back, location):
    secret = (await small.key()).secret
    async with small.client(address="10.0.0.5") as client:
        reply = await sign_in(client, secret, back=back)

    assert reply.headers["location"] == location


async def test_the_sign_in_form_remembers_what_was_asked_for(small):
    async with small.client(address="10.0.0.5") as client:
        page = await client.get("/p/default/assets/model:a%2Fb?x=1&y=2")
        by_hand = await client.get("/sign-in", params={"back": "/p/default"})

    assert page.status_code == 401
    assert 'name="back" value="/p/default/assets/model:a%2Fb?x=1&amp;y=2"' in page.text
    assert by_hand.status_code == 200
    assert 'name="back" value="/p/default"' in by_hand.text


async def test_another_site_can_sign_nobody_in_or_out(small):
    """Else it could make somebody work under a key of its own."""
    secret = (await small.key()).secret
    async with small.client(address="10.0.0.5") as client:
        foreign = {"origin": "https://evil.example"}
        into = await client.post("/sign-in", data={"key": secret}, headers=foreign)
        out = await client.post("/sign-out", headers=foreign)

    assert (into.status_code, out.status_code) == (403, 403)
    assert "set-cookie" not in into.headers


async def test_signing_out_takes_the_cookie_away(small):
    secret = (await small.key()).secret
    async with small.client(address="10.0.0.5") as client:
        await sign_in(client, secret)
        before = await client.get(PROJECTS)
        reply = await client.post("/sign-out")
        after = await client.get(PROJECTS)

    assert before.status_code == 200
    assert reply.status_code == 303
    assert reply.headers["location"] == "/sign-in"
    assert after.status_code == 401


async def test_who_holds_a_key_that_was_revoked_can_sign_in_with_another(small, ctx):
    """The old cookie is sent along with the new key; it must not stand in the way of the form or its style."""
    old, new = await small.key(), await small.key()
    async with small.client(address="10.0.0.5") as client:
        await sign_in(client, old.secret)
        await small.services.get(Projects).revoke_key(ctx, old.key.id, None)
        page = await client.get("/sign-in")
        root = await client.get("/")
        reply = await sign_in(client, new.secret)
        after = await client.get(PROJECTS)

    assert (page.status_code, root.status_code, reply.status_code, after.status_code) == (200, 303, 303, 200)


async def test_a_cookie_of_another_installation_does_not_shut_the_local_owner_out(small):
    """Browsers share cookies between all ports of a host."""
    async with small.client() as client:
        reply = await client.get(PROJECTS, headers={"cookie": "gimbal_key=gk_" + "x" * 43})

    assert reply.status_code == 200


async def test_a_cookie_does_not_help_another_site(small):
    secret = (await small.key()).secret
    async with small.client(address="10.0.0.5") as client:
        headers = {"cookie": f"gimbal_key={secret}", "origin": "https://evil.example"}
        told(await client.post(PROJECTS, json=NEW, headers=headers), 403, "forbidden")


@pytest.mark.parametrize("cookie", ["", "a=b", "gimbal_key", "gimbal_key=", "xgimbal_key=a", ";;;"])
def test_no_cookie_is_an_empty_text(cookie):
    scope = {"method": "GET", "path": "/", "headers": [(b"cookie", cookie.encode())], "query_string": b""}

    assert cookie_secret(Exchange(scope, receive=None, room=BodyRoom(0))) == ""
