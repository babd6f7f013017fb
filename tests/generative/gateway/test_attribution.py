"""For what and for whom a call is recorded: what the caller says first, then what its key says."""

from typing import Any

import httpx
import pytest
from tests.generative.gateway.test_faults import span_of

from gimbal.axis.projects.model import AddMember, CreateKey, IssuedKey
from gimbal.axis.projects.service import Projects
from gimbal.generative.gateway.routes.service import publish
from gimbal.generative.gateway.routes.views import PublishRoute
from gimbal.kernel.context import Context, Role

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
async def key(ctx: Context) -> str:
    """Give the secret of a key that says what its calls are for."""
    body = CreateKey(name="bot", feature="support", user="nobody", tags=["team:help"])
    return (await ctx.get(Projects).create_key(ctx, body, "default")).secret


async def asked(http: httpx.AsyncClient, key: str, headers: dict[str, str], **more: Any) -> str:
    reply = await http.post(
        "/v1/chat/completions",
        json={"model": "up/tiny", "messages": HELLO, **more},
        headers={"authorization": f"Bearer {key}", **headers},
    )
    assert reply.status_code == 200, reply.text
    return reply.headers["x-gimbal-trace-id"]


async def test_a_keys_own_words_hold_where_the_caller_says_nothing(
    http: httpx.AsyncClient, ctx: Context, key: str
) -> None:
    """All of them, and the key itself is recorded."""
    span = await span_of(ctx, await asked(http, key, {}))
    assert (span.feature, span.user_id, span.tags) == ("support", "nobody", ["team:help"])
    (made,) = await ctx.get(Projects).keys("default")
    assert span.key_id == made.id


@pytest.fixture
async def laptop(ctx: Context) -> IssuedKey:
    """Give a key that belongs to a member."""
    projects = ctx.get(Projects)
    await projects.create_key(ctx, CreateKey(name="root", role=Role.ADMIN, everywhere=True), None)
    ada = await projects.add_member(ctx, "default", AddMember(email="ada@example.org", role=Role.ADMIN))
    return await projects.create_key(ctx, CreateKey(name="laptop", role=Role.ADMIN, member=ada.id), "default")


async def test_a_members_key_is_recorded_as_any_other(http: httpx.AsyncClient, ctx: Context, laptop: IssuedKey) -> None:
    """Of calls to models, and of what passes through."""
    assert (await span_of(ctx, await asked(http, laptop.secret, {}))).key_id == laptop.key.id
    headers = {"authorization": f"Bearer {laptop.secret}", "x-gimbal-provider": "up"}
    passed = await http.get("/v1/files", headers=headers)
    assert (await span_of(ctx, passed.headers["x-gimbal-trace-id"])).key_id == laptop.key.id


async def test_rules_of_a_route_know_a_key_by_the_name_it_was_given(
    http: httpx.AsyncClient, ctx: Context, key: str, laptop: IssuedKey
) -> None:
    """Whoever it belongs to."""
    text = 'name = "r"\ntargets = ["up/other"]\n[[rules]]\nwhen = { key = ["bot", "lap*"] }\ntargets = ["up/tiny"]'
    await publish(ctx, PublishRoute(text=text))
    plain = await ctx.get(Projects).create_key(ctx, CreateKey(name="else"), "default")
    for secret, model in ((key, "tiny"), (laptop.secret, "tiny"), (plain.secret, "other")):
        span = await span_of(ctx, await asked(http, secret, {}, model="route:r"))
        assert span.model == model


async def test_the_callers_words_come_first(http: httpx.AsyncClient, ctx: Context, key: str) -> None:
    """By header, by the wire's own field, by metadata: each in the place of the key's."""
    span = await span_of(
        ctx, await asked(http, key, {"x-gimbal-feature": "search"}, user="ada", metadata={"tags": "a,b"})
    )
    assert (span.feature, span.user_id, span.tags) == ("search", "ada", ["a", "b"])
    other = await span_of(ctx, await asked(http, key, {}, safety_identifier="bob", metadata={"session": "s-1"}))
    assert (other.user_id, other.session_id) == ("bob", "s-1")


@pytest.mark.parametrize("value", ["0", "-1", "soon", "1.5", "9" * 12])
async def test_a_time_that_is_none_is_refused(http: httpx.AsyncClient, value: str) -> None:
    """With the header named, in the form of the caller's wire."""
    reply = await http.post(
        "/v1/chat/completions",
        json={"model": "up/tiny", "messages": HELLO},
        headers={"x-gimbal-timeout-ms": value},
    )
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "x-gimbal-timeout-ms"


async def test_a_caller_who_says_how_long_it_waits_is_answered_in_time(
    http: httpx.AsyncClient, ctx: Context, upstream: Any
) -> None:
    """With an error that says so, and a record that does."""
    upstream.faults = ["hang", "hang"]
    reply = await http.post(
        "/v1/chat/completions",
        json={"model": "up/tiny", "messages": HELLO},
        headers={"x-gimbal-timeout-ms": "200"},
    )
    assert reply.status_code == 504
    assert (await span_of(ctx, reply.headers["x-gimbal-trace-id"])).status == "error"
