"""Who may do what from where: local-owner mode and its limits, keys in every place, the console's cookie."""

import base64
from http.cookies import SimpleCookie

import pytest

from gimbal.axis.projects.model import AddMember, CreateProject
from gimbal.axis.projects.service import Projects
from gimbal.faces.server.access import cookie_secret, header_secret, host_name
from gimbal.faces.server.exchange import Exchange
from gimbal.faces.server.wiring import _check_address
from gimbal.kernel.context import Role
from gimbal.kernel.errors import ConfigurationError
from gimbal.kernel.settings import ServerSettings, Settings

PROJECTS = "/api/v1/projects"
NEW = {"slug": "fresh"}


def told(reply, status: int, code: str) -> dict[str, str]:
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (status, code), error
    return error


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


# Local-owner mode


async def test_on_loopback_without_members_nobody_needs_a_key(small):
    async with small.client() as client:
        assert (await client.post(PROJECTS, json=NEW)).status_code == 200


@pytest.mark.parametrize("address", ["10.0.0.5", "192.168.1.9", "2001:db8::1"])
async def test_a_caller_from_another_machine_is_nobody(small, address):
    """Also when a proxy on this machine hands the call on."""
    async with small.client(address=address) as client:
        error = told(await client.get(PROJECTS), 401, "not_authenticated")
        page = await client.get("/p/default", headers={"accept": "text/html"})
        openly = await client.get("/healthz")

    assert "Bearer" in error["todo"]
    assert page.status_code == 401
    assert 'action="/sign-in"' in page.text
    assert openly.status_code == 200


def test_a_caller_behind_a_proxy_of_this_machine_is_nobody(client):
    """On a real socket: the proxy names the caller, and the server believes it because it runs here."""
    told(client.get(PROJECTS, headers={"x-forwarded-for": "203.0.113.9"}), 401, "not_authenticated")
    assert client.get(PROJECTS, headers={"x-forwarded-for": "127.0.0.1"}).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.9"])
async def test_off_loopback_there_is_no_local_owner(small, host):
    """Not even for a caller on this machine."""
    async with small.client(host=host) as client:
        told(await client.get(PROJECTS), 401, "not_authenticated")
        told(await client.get(PROJECTS, headers=bearer("none")), 401, "not_authenticated")
        secret = (await small.key()).secret
        assert (await client.get(PROJECTS, headers=bearer(secret))).status_code == 200


async def test_with_the_first_member_the_local_owner_is_gone(small, ctx):
    secret = (await small.key()).secret
    await small.services.get(Projects).add_member(
        ctx, "default", AddMember(email="a@b.org", name="A", role=Role.VIEWER)
    )
    async with small.client() as client:
        told(await client.get(PROJECTS), 401, "not_authenticated")
        assert (await client.get(PROJECTS, headers=bearer(secret))).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example:8765"},
        {"host": "localhost.evil.example"},
        {"host": ""},
        {"host": "evil.example", "authorization": "Bearer none"},
        {"host": "evil.example", "x-api-key": "local"},
        {"host": "evil.example", "authorization": "Basic " + base64.b64encode(b"none:none").decode()},
        {"host": "evil.example", "cookie": "gimbal_key=x"},
    ],
)
async def test_a_host_name_that_is_not_ours_is_refused(small, headers):
    """DNS rebinding: a page of evil.example, which now means 127.0.0.1, must not act as the owner."""
    async with small.client() as client:
        error = told(await client.get(PROJECTS, headers=headers), 403, "forbidden")

    assert error["where"] == "Host"
    assert "allowed_hosts" in error["todo"]


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8765", "localhost", "LOCALHOST:1", "[::1]:8765", "gimbal.lan", "Gimbal.LAN:80"]
)
async def test_our_own_host_names_are_answered(small, host):
    async with small.client(allowed_hosts=("gimbal.lan",)) as client:
        assert (await client.get(PROJECTS, headers={"host": host})).status_code == 200


async def test_a_key_is_good_under_any_host_name(small):
    """A page that rebinds has none."""
    secret = (await small.key()).secret
    async with small.client() as client:
        reply = await client.get(PROJECTS, headers={"host": "gateway.internal", **bearer(secret)})

    assert reply.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example", "authorization": "Bearer unused"},
    ],
)
async def test_another_site_may_not_write(small, headers):
    async with small.client() as client:
        told(await client.post(PROJECTS, json=NEW, headers=headers), 403, "forbidden")
        listed = (await client.get(PROJECTS)).json()

    assert [p["slug"] for p in listed] == ["default"]


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://127.0.0.1:8765"}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}],
)
async def test_our_own_pages_may_write(small, headers):
    async with small.client() as client:
        assert (await client.post(PROJECTS, json=NEW, headers=headers)).status_code == 200


async def test_no_other_site_may_read_an_answer(small):
    """There is no CORS header: a script elsewhere that asks gets nothing to read."""
    async with small.client() as client:
        reply = await client.get(PROJECTS, headers={"origin": "https://evil.example"})

    assert not [name for name in reply.headers if name.startswith("access-control")]


@pytest.mark.parametrize("word", ["none", "local", "unused", "gimbal"])
async def test_vendor_clients_may_send_a_word_for_a_key(small, word):
    async with small.client() as client:
        assert (await client.get(PROJECTS, headers=bearer(word))).status_code == 200


# Keys


@pytest.mark.parametrize(
    "headers",
    [
        lambda s: {"authorization": f"Bearer {s}"},
        lambda s: {"authorization": f"bearer  {s} "},
        lambda s: {"x-api-key": s},
        lambda s: {"api-key": s},
        lambda s: {"x-gimbal-key": s},
        lambda s: {"authorization": "Basic " + base64.b64encode(f"any:{s}".encode()).decode()},
        lambda s: {"authorization": "Basic " + base64.b64encode(f"{s}:".encode()).decode()},
        lambda s: {"cookie": f"gimbal_key={s}"},
        lambda s: {"cookie": f'odd={{"a": 1}}; other; gimbal_key="{s}"; gimbal_theme=dark'},
    ],
)
async def test_a_key_is_read_wherever_a_dialect_puts_it(small, headers):
    secret = (await small.key(Role.VIEWER, "default")).secret
    async with small.client(address="10.0.0.5") as client:
        reply = await client.get(f"{PROJECTS}/default", headers=headers(secret))

    assert reply.json()["slug"] == "default"


async def test_an_unknown_key_is_refused_also_on_loopback(small):
    """Who sends a key means it; falling back to the owner would hide a mistake."""
    async with small.client() as client:
        reply = await client.get(PROJECTS, headers=bearer("gk_" + "x" * 43))

    told(reply, 401, "not_authenticated")
    assert reply.headers["www-authenticate"] == "Bearer"


async def test_an_expired_key_is_refused(small, clock):
    secret = (await small.key(days=1)).secret
    async with small.client(address="10.0.0.5") as client:
        before = await client.get(PROJECTS, headers=bearer(secret))
        clock.advance(days=1, seconds=1)
        error = told(await client.get(PROJECTS, headers=bearer(secret)), 401, "not_authenticated")

    assert before.status_code == 200
    assert "expired" in error["message"]


async def test_a_revoked_key_is_refused_at_once(small, ctx):
    issued = await small.key()
    async with small.client(address="10.0.0.5") as client:
        before = await client.get(PROJECTS, headers=bearer(issued.secret))
        await small.services.get(Projects).revoke_key(ctx, issued.key.id, None)
        error = told(await client.get(PROJECTS, headers=bearer(issued.secret)), 401, "not_authenticated")

    assert before.status_code == 200
    assert "revoked" in error["message"]


async def test_a_key_is_worth_nothing_in_another_project(small, ctx):
    """The answer is the same whether that project is there or not."""
    await small.services.get(Projects).create(ctx, CreateProject(slug="other"))
    secret = (await small.key(Role.ADMIN, "default")).secret
    async with small.client(address="10.0.0.5") as client:
        there = told(await client.get(f"{PROJECTS}/other", headers=bearer(secret)), 403, "forbidden")
        not_there = told(await client.get(f"{PROJECTS}/nowhere", headers=bearer(secret)), 403, "forbidden")
        named = {**bearer(secret), "x-gimbal-project": "other"}
        told(await client.post("/mcp", json={}, headers=named), 403, "forbidden")
        seen = (await client.get(PROJECTS, headers=bearer(secret))).json()

    assert there["message"].replace("other", "nowhere") == not_there["message"]
    assert [p["slug"] for p in seen] == ["default"]


@pytest.mark.parametrize(
    ("role", "allowed"), [(Role.VIEWER, 0), (Role.DEVELOPER, 1), (Role.RELEASER, 2), (Role.ADMIN, 3)]
)
async def test_a_role_may_do_its_own_and_no_more(small, role, allowed):
    """A viewer does not write, a developer does not release, a releaser gives no keys."""
    secret = (await small.key(role, "default")).secret
    calls = [
        ("DELETE", f"{PROJECTS}/default/schedules/none", None),
        ("DELETE", f"{PROJECTS}/default/endpoints/none", None),
        ("POST", f"{PROJECTS}/default/keys", {"name": "mine", "role": "viewer"}),
    ]
    async with small.client(address="10.0.0.5") as client:
        assert (await client.get(f"{PROJECTS}/default", headers=bearer(secret))).status_code == 200
        replies = [await client.request(m, path, json=body, headers=bearer(secret)) for m, path, body in calls]

    assert [reply.status_code != 403 for reply in replies] == [number < allowed for number in range(3)]
    assert all("it needs the permission" in r.json()["error"]["message"] for r in replies if r.status_code == 403)


async def test_metrics_need_a_key_and_health_does_not(small):
    async with small.client(address="10.0.0.5") as client:
        told(await client.get("/metrics"), 401, "not_authenticated")
        assert (await client.get("/openapi.json")).status_code == 200
        assert (await client.get("/docs/api")).status_code == 200


async def test_a_foreign_route_needs_a_key(small):
    async with small.client(address="10.0.0.5") as client:
        told(await client.post("/mcp", json={}), 401, "not_authenticated")
        told(await client.post("/v1/traces", content=b""), 401, "not_authenticated")


# The console's cookie


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


# The start


async def test_it_does_not_listen_elsewhere_without_a_credential(small):
    projects = small.services.get(Projects)
    settings = Settings(server=ServerSettings(host="0.0.0.0"))
    with pytest.raises(ConfigurationError, match="without a credential") as problem:
        await _check_address(settings, projects)
    assert problem.value.where == "server.host"
    assert "gimbal keys create" in problem.value.todo

    await small.key(Role.DEVELOPER)
    with pytest.raises(ConfigurationError):
        await _check_address(settings, projects)
    await small.key(Role.ADMIN)
    await _check_address(settings, projects)


async def test_an_expired_admin_key_is_no_credential(small, clock):
    await small.key(days=1)
    clock.advance(days=2)
    with pytest.raises(ConfigurationError):
        await _check_address(Settings(server=ServerSettings(host="::")), small.services.get(Projects))


# The parts


@pytest.mark.parametrize(
    ("header", "name"),
    [("a.b:80", "a.b"), ("A.B", "a.b"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("", ""), (":80", "")],
)
def test_the_name_in_a_host_header(header, name):
    assert host_name(header) == name


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": ""}, {"authorization": "Digest x"}, {"x-api-key": ""}, {"authorization": "Bearer"}],
)
def test_no_secret_is_an_empty_text(headers):
    assert header_secret(headers) == ""


@pytest.mark.parametrize("cookie", ["", "a=b", "gimbal_key", "gimbal_key=", "xgimbal_key=a", ";;;"])
def test_no_cookie_is_an_empty_text(cookie):
    scope = {"method": "GET", "path": "/", "headers": [(b"cookie", cookie.encode())], "query_string": b""}

    assert cookie_secret(Exchange(scope, receive=None)) == ""
