"""For what and for whom a call is recorded: what the caller says first, then what its key says."""

from typing import Any

import httpx
import pytest
from tests.generative.gateway.test_faults import span_of

from gimbal.axis.projects.model import CreateKey
from gimbal.axis.projects.service import Projects
from gimbal.kernel.context import Context

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
    assert span.key_id


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
