"""Local-owner mode and its limits: whose machine, which host name, which page; no open door without a credential."""

import base64

import pytest
from tests.faces.server.asking import NEW, PROJECTS, bearer, told

from gimbal.axis.projects.model import AddMember
from gimbal.axis.projects.service import Projects
from gimbal.faces.server.access import host_name
from gimbal.faces.server.wiring import check_address
from gimbal.kernel.context import Role
from gimbal.kernel.errors import ConfigurationError
from gimbal.kernel.settings import ServerSettings, Settings


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


async def test_it_does_not_listen_elsewhere_without_a_credential(small):
    projects = small.services.get(Projects)
    settings = Settings(server=ServerSettings(host="0.0.0.0"))
    with pytest.raises(ConfigurationError, match="without a credential") as problem:
        await check_address(settings, projects)
    assert problem.value.where == "server.host"
    assert "gimbal keys create" in problem.value.todo

    await small.key(Role.DEVELOPER)
    with pytest.raises(ConfigurationError):
        await check_address(settings, projects)
    await small.key(Role.ADMIN)
    await check_address(settings, projects)


async def test_an_expired_admin_key_is_no_credential(small, clock):
    await small.key(days=1)
    clock.advance(days=2)
    with pytest.raises(ConfigurationError):
        await check_address(Settings(server=ServerSettings(host="::")), small.services.get(Projects))


@pytest.mark.parametrize(
    ("header", "name"),
    [("a.b:80", "a.b"), ("A.B", "a.b"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("", ""), (":80", "")],
)
def test_the_name_in_a_host_header(header, name):
    assert host_name(header) == name
