"""Keys: where they are read, when they end, and what each may do where."""

import base64

import pytest
from tests.faces.server.asking import PROJECTS, bearer, told

from gimbal.axis.projects.model import CreateProject
from gimbal.axis.projects.service import Projects
from gimbal.faces.server.access import header_secret
from gimbal.kernel.context import Role


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


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": ""}, {"authorization": "Digest x"}, {"x-api-key": ""}, {"authorization": "Bearer"}],
)
def test_no_secret_is_an_empty_text(headers):
    assert header_secret(headers) == ""
