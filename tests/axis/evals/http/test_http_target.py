"""HTTP services under evaluation: what is sent, what is read, and what goes wrong with somebody else's program."""

import asyncio
import email.utils
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tests.axis.evals.http.conftest import Service
from tests.axis.evaluating import store_suite

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.http import service as services_of_http
from gimbal.axis.evals.http.model import PublishHttpService
from gimbal.axis.evals.http.target import HTTP_SERVICES, MOST_BYTES
from gimbal.axis.evals.model import Example, StartEvaluation
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.target import TARGETS, TargetOutput
from gimbal.axis.traces.service import Traces
from gimbal.kernel.context import Context, Services
from gimbal.kernel.errors import BadInput
from gimbal.kernel.settings import Settings
from gimbal.kernel.settings_evals import EvalsSettings

TARGETS.add("http", HTTP_SERVICES)
TEXT = {"text": "$.answer"}


async def version_of(ctx: Context, service: Service, answer: dict[str, str] | None = None, **more: Any) -> Version:
    manifest = {"url": f"{service.url}/answer", "answer": TEXT if answer is None else answer} | more
    return await ctx.get(Assets).add_version(ctx, kind="http", name="help/answer", manifest=manifest)


async def asked(ctx: Context, version: Version, **given: Any) -> TargetOutput:
    return await HTTP_SERVICES(ctx, version, Example(id="1", input=given or {"question": "Why?"}))


async def test_an_example_is_one_request_and_one_trace_that_the_service_can_join(
    calling: Services, ctx: Context, service: Service
) -> None:
    service.reply = (200, {}, {"answer": "42", "at": 3})
    body = {"q": "{{question}}", "k": "{{limit}}"}
    version = await version_of(ctx, service, body=body, headers={"x-tenant": "t-{{limit}}"})

    output = await asked(ctx, version, question="Why?", limit=3)

    assert (output.text, output.error, output.cost, output.value) == ("42", "", None, None)
    assert msgspec.json.decode(service.asked[0]["body"]) == {"q": "Why?", "k": 3}
    headers = service.headers[0]
    assert (headers["x-tenant"], headers["content-type"], headers["host"]) == (
        "t-3", "application/json", service.url.removeprefix("http://"),
    )  # fmt: skip
    trace = await ctx.get(Traces).get(ctx, output.trace_id)
    (span,) = trace.spans
    assert headers["traceparent"] == f"00-{output.trace_id}-{span.span_id}-01"
    assert (span.status, span.refs, span.feature) == ("ok", ["http:help/answer@v1"], "evaluation")
    assert output.latency_ms is not None
    assert output.latency_ms > 0


async def test_everything_that_an_answer_says_is_read_by_its_path(
    calling: Services, ctx: Context, service: Service
) -> None:
    paths = {
        "text": "$.out[0].text", "value": "$.score", "sources": "$.docs[*].id", "contexts": "$.docs[*].text",
        "tool_calls": "$.calls", "cost": "$.usd", "input_tokens": "$.usage.in", "output_tokens": "$.usage.out",
    }  # fmt: skip
    calls = [
        {"name": "look", "arguments": {"at": 1}},
        {"type": "function", "function": {"name": "go", "arguments": '{"to": "x"}'}},
        {"name": "odd", "arguments": "{not json"},
    ]
    service.reply = (
        200, {},
        {"out": [{"text": "न\x00मस्ते"}], "score": 0.5, "docs": [{"id": "a", "text": "A"}, {"id": 7}], "calls": calls,
         "usd": "0.0015", "usage": {"in": 5, "out": 0}},
    )  # fmt: skip

    output = await asked(ctx, await version_of(ctx, service, paths, price="0.9"))

    assert (output.text, output.value, output.sources, output.contexts) == ("न\x00मस्ते", 0.5, ["a", "7"], ["A"])
    assert output.tool_calls == [
        {"name": "look", "arguments": {"at": 1}}, {"name": "go", "arguments": {"to": "x"}},
        {"name": "odd", "arguments": "{not json"},
    ]  # fmt: skip
    assert (output.cost, output.input_tokens, output.output_tokens) == (Decimal("0.0015"), 5, 0)


@pytest.mark.parametrize(
    ("answer", "paths", "says"),
    [
        (b"<html>it works</html>", TEXT, "no JSON"),
        (b"", TEXT, "no JSON"),
        (b'{"answer": "\xff"}', TEXT, "no JSON"),
        (b'{"answer": "\\ud800"}', TEXT, "no JSON"),
        (b"[" * 100_000, TEXT, "no JSON"),
        (b"\xff\xfe", {}, "not UTF-8"),
        ({"reply": "yes"}, TEXT, r"nothing at text \(\$.answer\)"),
        ({"answer": None}, TEXT, "nothing at text"),
        ({}, {"text": "$.a", "value": "$.b"}, r"nothing at text \(\$.a\) and value"),
        ([], {"text": "$[0]"}, "nothing at text"),
        ({"answer": "x", "d": {"a": 1}}, TEXT | {"sources": "$.d"}, r"at sources \(\$.d\) is no list"),
        ({"answer": "x", "d": [5]}, TEXT | {"tool_calls": "$.d"}, "no list of calls"),
        ({"answer": "x", "d": -1}, TEXT | {"cost": "$.d"}, "no amount"),
        ({"answer": "x", "d": "much"}, TEXT | {"cost": "$.d"}, "no amount"),
        ({"answer": "x", "d": 1e30}, TEXT | {"cost": "$.d"}, "no amount"),
        ({"answer": "x", "d": 1.5}, TEXT | {"input_tokens": "$.d"}, "no count"),
        ({"answer": "x", "d": True}, TEXT | {"output_tokens": "$.d"}, "no count"),
    ],
)
async def test_an_answer_that_is_not_what_was_promised_is_missing(
    calling: Services, ctx: Context, service: Service, answer: Any, paths: dict[str, str], says: str
) -> None:
    service.reply = (200, {}, answer)
    output = await asked(ctx, await version_of(ctx, service, paths))

    assert (output.text, output.value, output.failure) == (None, None, "error")
    with pytest.raises(ValueError, match=says):
        raise ValueError(output.error)
    (span,) = (await ctx.get(Traces).get(ctx, output.trace_id)).spans
    assert span.status == "error"


async def test_what_a_service_does_not_say_stays_unknown_and_a_whole_body_is_a_text(
    calling: Services, ctx: Context, service: Service
) -> None:
    service.reply = (200, {}, {"answer": {"a": [1]}})
    said = await asked(ctx, await version_of(ctx, service, TEXT | {"sources": "$.docs", "cost": "$.usd"}, price="0.2"))
    service.reply = (200, {"content-type": "text/plain"}, "plain — text".encode())
    whole = await asked(ctx, await version_of(ctx, service, {}))

    assert (said.text, said.sources, said.tool_calls, said.input_tokens) == ('{"a":[1]}', None, None, None)
    assert (said.cost, whole.cost) == (Decimal("0.2"), None)
    assert whole.text == "plain — text"


async def test_a_place_without_a_value_or_a_break_in_a_header_sends_nothing(
    calling: Services, ctx: Context, service: Service
) -> None:
    missing = await asked(ctx, await version_of(ctx, service, body={"q": "{{query}}"}))
    injected = await asked(
        ctx, await version_of(ctx, service, headers={"x-user": "{{user}}"}), user="ada\r\nx-admin: 1", question="?"
    )
    odd = await asked(ctx, await version_of(ctx, service, headers={"x-user": "{{user}}"}), user="\ud800")

    assert "no value for {{query}}" in missing.error
    assert "line break" in injected.error
    assert "no Unicode" in odd.error
    assert service.asked == []


async def test_values_go_into_an_address_without_leaving_their_part(
    calling: Services, ctx: Context, service: Service
) -> None:
    manifest = {"url": f"{service.url}/find/{{{{topic}}}}?q={{{{question}}}}", "method": "GET", "answer": TEXT}
    version = await ctx.get(Assets).add_version(ctx, kind="http", name="find", manifest=manifest)

    output = await asked(ctx, version, topic="a/../b", question="x&y=1 #")

    assert output.text == "yes"
    assert service.paths == ["/find/a%2F..%2Fb?q=x%26y%3D1%20%23"]
    assert service.asked == [{"method": "GET", "body": b""}]


async def test_a_status_that_is_no_answer_is_told_with_what_the_service_said(
    calling: Services, ctx: Context, service: Service
) -> None:
    version = await version_of(ctx, service)
    found: dict[str, TargetOutput] = {}
    soon = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    for name, reply in {
        "broken": (500, {"retry-after": "9"}, b"Traceback\n " + b"x" * 5_000),
        "moved": (302, {"location": "http://127.0.0.1:9/"}, b""),
        "nothing": (204, {}, b""),
        "many": (429, {"retry-after": "7"}, b""),
        "dated": (503, {"retry-after": soon}, b""),
        "unsaid": (503, {"retry-after": "later"}, b""),
        "absurd": (503, {"retry-after": f"Mon, 01 Jan 2024 00:00:00 +{'9' * 30}"}, b""),
    }.items():
        service.reply = reply
        found[name] = await asked(ctx, version)

    assert "answered 500: Traceback xxx" in found["broken"].error
    assert len(found["broken"].error) < 400
    assert "a redirect, which is not followed" in found["moved"].error
    assert "answered 204" in found["nothing"].error
    assert {name: output.retry_after_s for name, output in found.items()} == {
        "broken": None, "moved": None, "nothing": None, "many": 7.0, "dated": pytest.approx(30, abs=5), "unsaid": None,
        "absurd": None,
    }  # fmt: skip
    assert {output.text for output in found.values()} == {None}
    assert len(service.asked) == len(found)


async def test_a_service_that_hangs_is_timed_out_and_one_that_is_gone_an_error(
    calling: Services, ctx: Context, service: Service
) -> None:
    service.hang.clear()
    begun = time.monotonic()
    hung = await asked(ctx, await version_of(ctx, service, timeout_s=0.3))
    gone = await ctx.get(Assets).add_version(ctx, kind="http", name="gone", manifest={"url": "http://127.0.0.1:9/x"})

    assert (hung.failure, hung.text) == ("timed_out", None)
    assert "within 0.3 s" in hung.error
    assert time.monotonic() - begun < 5
    assert "cannot be reached" in (await asked(ctx, gone)).error


async def test_an_endless_answer_is_read_no_further_than_its_limit(
    calling: Services, ctx: Context, service: Service
) -> None:
    service.reply = (200, {}, 100)
    output = await asked(ctx, await version_of(ctx, service, {}))
    service.reply = (200, {"content-encoding": "gzip"}, b"\x1f\x8b")
    packed = await asked(ctx, await version_of(ctx, service, {}))

    assert f"more than {MOST_BYTES} bytes" in output.error
    assert output.text is None
    assert service.sent < 60
    assert "packed" in packed.error


async def test_credentials_go_where_the_operator_says_and_are_not_shown(
    calling: Services, ctx: Context, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not to another host, not into the trace, and not back through the answer."""
    monkeypatch.setenv("HELP_TOKEN", "token-of-the-operator")
    settings = EvalsSettings(http_secrets=("HELP_TOKEN=127.0.0.1", "EMPTY_TOKEN=127.0.0.1"))
    calling.register(Settings, Settings(evals=settings))
    secrets = {"authorization": "Bearer $HELP_TOKEN"}
    service.reply = (200, {}, {"answer": "You said token-of-the-operator."})

    good = await asked(ctx, await version_of(ctx, service, secrets=secrets))
    other = await asked(ctx, await version_of(ctx, service, secrets={"x-key": "$PATH"}))
    unset = await asked(ctx, await version_of(ctx, service, secrets={"x-key": "$EMPTY_TOKEN"}))

    assert service.headers[0]["authorization"] == "Bearer token-of-the-operator"
    assert good.text == "You said ***."
    (span,) = (await ctx.get(Traces).get(ctx, good.trace_id)).spans
    assert "token-of-the-operator" not in repr(span)
    assert "PATH may not be sent to 127.0.0.1" in other.error
    assert "EMPTY_TOKEN is not set" in unset.error
    assert len(service.asked) == 1


async def test_a_credential_with_blanks_around_it_is_sent_without_them_and_never_told(
    calling: Services, ctx: Context, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As variables from files have them. No header may, and whoever says so must not repeat it."""
    settings = EvalsSettings(http_secrets=("HELP_TOKEN=127.0.0.1", "LONG_TOKEN=127.0.0.1"))
    calling.register(Settings, Settings(evals=settings))
    monkeypatch.setenv("HELP_TOKEN", "token-of-the-operator \n")
    monkeypatch.setenv("LONG_TOKEN", "token-of-the-operator -and-more")
    version = await version_of(ctx, service, secrets={"x-key": "$HELP_TOKEN", "x-long": "$LONG_TOKEN"})
    service.reply = (200, {}, {"answer": "token-of-the-operator -and-more"})
    good = await asked(ctx, version)
    monkeypatch.setenv("HELP_TOKEN", "token-of\nthe-operator")
    broken = await asked(ctx, version)

    assert (good.error, good.text) == ("", "***")
    assert service.headers[0]["x-key"] == "token-of-the-operator"
    assert "line break" in broken.error
    assert "Mend the variable" in broken.error
    assert "token" not in broken.error


async def test_what_came_is_paid_for_also_where_it_cannot_be_read(
    calling: Services, evaluations: Evaluations, ctx: Context, service: Service
) -> None:
    """A service that answers nonsense at a price does not go past the cap."""
    service.reply = (200, {}, {"reply": "nonsense"})
    await version_of(ctx, service, price="0.5")
    await store_suite(ctx, [Example(id=str(n), input={"question": f"{n}?"}) for n in range(6)])
    body = StartEvaluation(suite="suite:help/questions", subject="http:help/answer", max_cost=Decimal(1), concurrency=1)
    run = await evaluations.run(ctx, (await evaluations.start(ctx, body)).id)
    service.reply = (500, {}, b"")
    failed = await asked(ctx, await version_of(ctx, service, price="0.5"))

    assert (run.status, run.done, run.cost, len(service.asked)) == ("stopped", 2, Decimal(1), 3)
    assert failed.cost is None


async def test_a_call_that_is_cut_off_says_so_in_its_trace(calling: Services, ctx: Context, service: Service) -> None:
    """The run's own limit may be shorter than the service's."""
    service.hang.clear()
    version = await version_of(ctx, service)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await asked(ctx, version)
    (span,) = (await ctx.get(Traces).get(ctx, service.headers[0]["traceparent"].split("-")[1])).spans

    assert (span.status, span.status_message) == ("error", "The call was cut off before an answer came.")


async def test_a_suite_is_put_through_a_service(
    calling: Services, evaluations: Evaluations, ctx: Context, service: Service
) -> None:
    """Named by its task; the same again asks again, because nobody knows what stands behind an address."""
    text = f'name = "help/answer"\nurl = "{service.url}/answer"\nprice = 0.01\n[answer]\ntext = "$.answer"\n'
    made = await services_of_http.publish(ctx, PublishHttpService(text=text))
    again = await services_of_http.publish(ctx, PublishHttpService(text=text))
    rows = [Example(id=str(n), input={"question": f"{n}?"}, expected={"answer": "yes"}) for n in range(4)]
    await store_suite(ctx, rows, task="http:help/answer")
    plan = await evaluations.plan(ctx, StartEvaluation(suite="suite:help/questions"))
    runs = []
    for _ in range(2):
        run = await evaluations.start(ctx, StartEvaluation(suite="suite:help/questions", max_cost=Decimal(1)))
        runs.append(await evaluations.run(ctx, run.id))

    assert (made.state, again.state, made.notes) == ("created", "unchanged", [])
    assert (plan.cost, plan.most, plan.calls) == (Decimal("0.04"), Decimal("0.04"), 4)
    assert [(run.status, run.summaries[0].estimate.value, run.cost) for run in runs] == [
        ("done", 1.0, Decimal("0.04"))
    ] * 2
    assert len(service.asked) == 8


async def test_a_file_that_is_wrong_makes_no_version(calling: Services, ctx: Context) -> None:
    with pytest.raises(BadInput, match="no name"):
        await services_of_http.publish(ctx, PublishHttpService(text='url = "https://h/x"'))
    with pytest.raises(BadInput, match="not one of HTTP"):
        await ctx.get(Assets).add_version(ctx, kind="http", name="x", manifest={"url": "file:///etc/passwd"})
    assert (await ctx.get(Assets).page(ctx, kind="http")).items == []
