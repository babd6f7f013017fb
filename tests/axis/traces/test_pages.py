"""The pages of traces, served by the real application: empty, one, thousands of spans, hostile content."""

import json
import re

import httpx
import pytest
from tests.axis.traces import wire

from gimbal.axis.traces.blocks import readable
from gimbal.axis.traces.ingest import ingest
from gimbal.kernel.context import Context
from gimbal.kernel.pages import encode_cursor

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7 * 7 }}"


async def take(here: Context, *spans: wire.Span) -> None:
    await ingest(here, wire.request(*spans))


async def get(site: httpx.AsyncClient, here: Context, path: str, status: int = 200) -> str:
    reply = await site.get(f"/p/{here.project}{path}")
    assert (reply.status_code, reply.headers["content-type"].partition(";")[0]) == (status, "text/html")
    return reply.text


async def test_without_traces_the_list_says_how_to_send_them(site: httpx.AsyncClient, here: Context) -> None:
    """And a filter that nothing fits says that."""
    empty = await get(site, here, "/traces")
    assert "No traces yet" in empty
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in empty
    assert "No trace fits" in await get(site, here, "/traces?status=error")


async def test_the_list_shows_what_is_known_and_leads_to_the_trace(site: httpx.AsyncClient, here: Context) -> None:
    """Missing is a dash, not a zero; a cost in part unknown says so."""
    known, unknown = wire.trace_id(), wire.trace_id()
    await take(here, wire.span(known, 1, name="answer"), wire.chat(known, 2, 1))
    await take(
        here,
        wire.span(unknown, 1, name="bare"),
        wire.chat(unknown, 2, 1, attributes={"gen_ai.request.model": "own-7b"}),
    )

    text = await get(site, here, "/traces")

    assert f'href="/p/{here.project}/traces/{known}"' in text
    assert "$0.0035" in text
    assert "1 unpriced" in text
    assert "gpt-4o" in text
    only = await get(site, here, "/traces?model=own-7b")
    assert ">bare</a>" in only
    assert ">answer</a>" not in only


async def test_filters_of_the_address_are_those_of_the_list(site: httpx.AsyncClient, here: Context) -> None:
    """Every one of them narrows it."""
    trace = wire.trace_id()
    who = {"user.id": "ann", "session.id": "s1", "gimbal.feature": "help"}
    await take(here, wire.chat(trace, 1, name="found me", attributes=who))
    fits = {
        "q": "FOUND", "status": "unset", "kind": "llm", "model": "gpt-4o", "feature": "help", "user": "ann",
        "session": "s1", "since": "2026-02-02", "until": "2026-02-03",
    }  # fmt: skip
    misses = dict.fromkeys(fits, "nothing") | {"since": "2026-02-03", "until": "2026-02-02"}
    for name, value in fits.items():
        assert "found me</a>" in await get(site, here, f"/traces?{name}={value}"), name
        assert "No trace fits" in await get(site, here, f"/traces?{name}={misses[name]}"), name


@pytest.mark.parametrize(
    "query", ["cursor=x", f"cursor={encode_cursor({'at': 'x'})}", "since=soon", "limit=x", "limit=0"]
)
async def test_a_bad_question_is_answered_by_a_page_that_says_so(
    site: httpx.AsyncClient, here: Context, query: str
) -> None:
    """With 400."""
    await get(site, here, f"/traces?{query}", 400)


async def test_the_list_leafs_through_all(site: httpx.AsyncClient, here: Context) -> None:
    """By the links on the pages."""
    await take(here, *(wire.span(wire.trace_id(), 1, name=f"trace-{i:02}", at_ms=i) for i in range(25)))
    seen: list[str] = []
    path: str | None = "/traces?limit=10"
    while path:
        text = await get(site, here, path)
        seen += re.findall(r">(trace-\d\d)</a>", text)
        links = re.findall(r'href="[^"]*?(/traces\?[^"]*cursor=[^"]+)"[^>]*rel="next"', text)
        links += re.findall(r'rel="next"[^>]*href="[^"]*?(/traces\?[^"]*cursor=[^"]+)"', text)
        path = links[0].replace("&amp;", "&") if links else None
    assert seen == [f"trace-{i:02}" for i in reversed(range(25))]


async def test_a_trace_shows_messages_documents_tools_and_counts(site: httpx.AsyncClient, here: Context) -> None:
    """Of the span that was chosen."""
    trace = wire.trace_id()
    call = wire.chat(
        trace,
        2,
        1,
        attributes={
            "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "When is noon?"}]}],
            "gen_ai.output.messages": json.dumps([{"role": "assistant", "content": "At twelve."}]),
            "gen_ai.usage.cache_read.input_tokens": 400,
            "gimbal.refs": ["prompt:help/answer@v2"],
        },
    )
    found = wire.span(
        trace,
        3,
        1,
        name="search",
        attributes={
            "gen_ai.operation.name": "retrieval",
            "gen_ai.retrieval.documents": [
                {"id": "d", "content": "Noon is at 12.", "score": 0.75, "source": "time.md"}
            ],
        },
        status={"code": 2, "message": "index is cold"},
    )
    await take(here, wire.span(trace, 1, name="ask"), call, found)

    whole = await get(site, here, f"/traces/{trace}")
    chosen = await get(site, here, f"/traces/{trace}?span={2:016x}")
    failed = await get(site, here, f"/traces/{trace}?span={3:016x}")

    assert all(name in whole for name in ("ask", "chat gpt-4o", "search", "1100 tokens"))
    assert all(
        word in chosen for word in ("When is noon?", "At twelve.", "openai/gpt-4o", "400", "prompt:help/answer@v2")
    )
    assert all(word in failed for word in ("index is cold", "time.md", "Noon is at 12.", "0.75"))


async def test_five_thousand_spans_are_shown_in_parts_that_say_so(site: httpx.AsyncClient, here: Context) -> None:
    """With ways to the others; a link to a span shows the part that it is in."""
    trace = wire.trace_id()
    await take(here, *(wire.span(trace, i, i - 1 or None, name=f"s-{i}-", at_ms=i / 10) for i in range(1, 5001)))

    async def rows(query: str) -> str:
        # The skeleton for the script names them all.
        return (await get(site, here, f"/traces/{trace}{query}")).partition("data-tv-bones")[0]

    first, last, beyond = await rows(""), await rows("?from=4900"), await rows("?from=99999999")
    chosen = await rows(f"?span={1234:016x}")

    assert "Spans 1 to 100 of 5,000" in first.replace("\u202f", ",").replace("\u2009", ",")
    assert ("s-100-" in first, "s-101-" in first, "Those after" in first, "Those before" in first) == (
        True,
        False,
        True,
        False,
    )
    assert ("s-5000-" in last, "Those after" in last, "Those before" in last) == (True, False, True)
    assert ("s-1234-" in chosen, "s-1201-" in chosen, "s-1300-" in chosen, "s-1301-" in chosen) == (
        True,
        True,
        True,
        False,
    )
    assert "s-5000-" in beyond
    await get(site, here, f"/traces/{trace}?from=x", 400)
    await get(site, here, f"/traces/{trace}?from=-5")


async def test_hostile_content_is_text(site: httpx.AsyncClient, here: Context) -> None:
    """Wherever a sender can put it."""
    trace = wire.trace_id()
    values = [
        "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.request.model", "gen_ai.provider.name",
        "gen_ai.conversation.id", "user.id", "gimbal.feature", "gen_ai.response.finish_reasons", HOSTILE,
    ]  # fmt: skip
    attributes = dict.fromkeys(values, HOSTILE) | {
        "gen_ai.usage.input_tokens": 5,
        "gimbal.refs": [HOSTILE],
        "gen_ai.retrieval.documents": [{"id": HOSTILE, "content": HOSTILE, "source": HOSTILE}],
        "gen_ai.output.messages": [{"role": HOSTILE, "content": HOSTILE, HOSTILE: HOSTILE}],
    }
    hostile = wire.span(trace, 1, name=HOSTILE, attributes=attributes, status={"code": 2, "message": HOSTILE})
    await ingest(here, wire.request(hostile, resource={HOSTILE: HOSTILE}, scope=HOSTILE))

    for path in ("/traces", f"/traces/{trace}", "/traces?q=%3Cscript%3Ealert(1)", f"/traces/{trace}?span=%22%3E%3Cimg"):
        text = await get(site, here, path)
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert "&lt;script&gt;alert" in text
        assert "{{ 7 * 7 }}" in text or "q=" in path


@pytest.mark.parametrize("trace", ["x", "0" * 32, "b" * 32, "%3Cscript%3E"])
async def test_a_trace_that_is_not_there_is_a_page_that_says_so(
    site: httpx.AsyncClient, here: Context, trace: str
) -> None:
    """With 404."""
    text = await get(site, here, f"/traces/{trace}", 404)
    assert "<script>" not in text.replace("<script type", "").replace("<script src", "")


@pytest.mark.parametrize(
    ("stored", "blocks"),
    [
        ("", []),
        ("not json", [("", "not json", None)]),
        ('"plain"', [("", "plain", None)]),
        ('{"a":1}', [("", "", {"a": 1})]),
        ("[]", [("", "", [])]),
        ('[{"role":"user","content":"hi"}]', [("user", "hi", None)]),
        ('[{"role":"user","parts":[{"type":"text","content":"a"},{"text":"b"},"c"]}]', [("user", "a\nb\nc", None)]),
        ('[{"role":"assistant","other":[{"id":"1"}]}]', [("assistant", "", {"other": [{"id": "1"}]})]),
        ('[{"role":"tool","content":[{"type":"hologram"}],"name":"look"}]', [("tool · look", "", {"type": "hologram"})]),
        ('[{"role":"assistant","content":[{"type":"reasoning","text":"Hm"}]}]', [("assistant", "(reasoning) Hm", None)]),
        ('[{"role":"a"},5]', [("", "", [{"role": "a"}, 5])]),
    ],
)  # fmt: skip
def test_what_went_in_and_out_is_readable(stored: str, blocks: list[tuple[str, str, object]]) -> None:
    """Messages of any form as text, the rest as JSON."""
    assert [(b.role, b.text, b.json) for b in readable(stored, str)] == blocks
