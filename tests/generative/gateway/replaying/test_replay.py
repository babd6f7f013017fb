"""A replay: what was asked of a prompt, by whichever way, is asked of another version and compared with what was answered."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest

from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.comparing import compare_runs
from gimbal.axis.evals.recording import AnswerRecorder
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.suites import Suites
from gimbal.axis.scores.scorer import ScorerSetting
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.service import Traces
from gimbal.generative.gateway import target
from gimbal.generative.gateway.replaying import service
from gimbal.generative.gateway.replaying.model import ReplayRequest
from gimbal.generative.prompts.model import VARIABLES_ATTRIBUTE, PromptFile
from gimbal.generative.prompts.service import sync_files
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound, Unpriced
from gimbal.kernel.ids import new_span_id, new_trace_id
from gimbal.kernel.refs import Ref

Wanted = Callable[..., ReplayRequest]
V1 = '+++\nmodel = "openai/gpt-4o-mini"\n\n[params]\nmax_tokens = 50\n+++\n\n## system\nAnswer.\n\n## user\n{{question}}\n'
V2 = V1.replace("Answer.", "Answer in one word.")


async def synced(ctx: Context, text: str = V1) -> None:
    await sync_files(ctx, [PromptFile(path="help/answer.md", text=text)])


async def ask(http: httpx.AsyncClient, question: str, session: str = "", **more: Any) -> httpx.Response:
    """Ask the prompt through the gateway, with a message after its own."""
    body = {"model": "prompt:help/answer", "messages": [{"role": "user", "content": "Go on."}]}
    headers = {"x-gimbal-session": session} if session else {}
    return await http.post(
        "/v1/chat/completions", json=body | {"variables": {"question": question}} | more, headers=headers
    )


async def answered(ctx: Context, question: str, feature: str = "help") -> None:
    """Have the server itself answer with the prompt."""
    version = await ctx.get(Assets).resolve(ctx, Ref.parse("prompt:help/answer"))
    await target.answer(ctx, version, {"question": question}, feature=feature)


async def filled_in_a_program(ctx: Context, attributes: dict[str, Any], ref: str = "prompt:help/answer@v1") -> None:
    """Record what a program leaves that filled the prompt in a span, with a model call beneath it."""
    trace, above, now = new_trace_id(), new_span_id(), int(datetime.now(UTC).timestamp() * 1e6)
    common: dict[str, Any] = {"trace_id": trace, "start_us": now, "end_us": now + 5_000, "dialect": "gimbal"}
    message = json.dumps({"role": "assistant", "content": "from a program"})
    spans = [
        Span(span_id=above, name="handle", kind="chain", refs=[ref], attributes=attributes, **common),
        Span(span_id=new_span_id(), parent_id=above, name="chat", kind="llm", output=message, **common),
    ]
    await ctx.get(Traces).record(ctx, spans)


@pytest.fixture
def wanted() -> Wanted:
    """Give what makes requests for the calls of this test; the columns are those of others, too."""
    since = datetime.now(UTC)

    def make(candidate: str = "prompt:help/answer@v2", **more: Any) -> ReplayRequest:
        return ReplayRequest(candidate=candidate, since=since, **more)

    return make


async def done(ctx: Context, replay: Any) -> None:
    """Do what the two jobs do."""
    await ctx.get(AnswerRecorder).judge(ctx, replay.before.id)
    await ctx.get(Evaluations).run(ctx, replay.after.id)


async def test_what_was_asked_is_asked_again_and_compared(
    http: httpx.AsyncClient, ctx: Context, upstream: Any, wanted: Wanted
) -> None:
    """By whichever way the prompt was used; the answers of then are the other side, with their traces, cost and time."""
    await synced(ctx)
    await ask(http, "first", session="s1")
    await ask(http, "second", session="s1")
    await answered(ctx, "third")
    await answered(ctx, "asked by an evaluation", feature="evaluation")
    await filled_in_a_program(ctx, {VARIABLES_ATTRIBUTE: json.dumps({"question": "fourth"})})
    await filled_in_a_program(ctx, {})
    await synced(ctx, V2)
    upstream.received.clear()

    plan = await service.plan(ctx, wanted())
    assert (plan.calls, plan.clusters, plan.unfit) == (4, 3, {})
    assert [(one.ref, one.calls) for one in plan.answered_by] == [("prompt:help/answer@v1", 4)]
    assert None not in (plan.cost, plan.most, plan.spent)
    assert 0 < plan.cost <= plan.most
    assert plan.spent > 0
    assert upstream.received == []

    replay = await service.start(ctx, wanted())
    await done(ctx, replay)
    sent = sorted([turn["content"] for turn in one["messages"]] for one in upstream.received)
    own = "Answer in one word."
    assert sent == [[own, "first", "Go on."], [own, "fourth"], [own, "second", "Go on."], [own, "third"]]

    evaluations = ctx.get(Evaluations)
    before = {row.input["question"]: row for row in await evaluations.results(ctx, replay.before.id)}
    assert {name: row.text for name, row in before.items()} == {
        **dict.fromkeys(("first", "second", "third"), "".join(upstream.words)), "fourth": "from a program",
    }  # fmt: skip
    assert None not in (before["first"].cost, before["first"].latency_ms)
    assert (await ctx.get(Traces).get(ctx, before["first"].trace_id)).summary.session_id == "s1"
    assert before["first"].cluster == before["second"].cluster == "s1"

    found = await compare_runs(ctx, evaluations, replay.before.id, replay.after.id, margin=0.02)
    assert str(found.before.subject) == "prompt:help/answer@v1"
    assert str(found.after.subject) == "prompt:help/answer@v2"
    by_name = {row.scorer: row for row in found.scorers}
    assert set(by_name) == {"refusal", "length", "latency", "cost"}
    assert by_name["refusal"].paired == 4
    assert (by_name["refusal"].before.value, by_name["refusal"].after.value) == (1, 1)


async def test_a_sample_is_drawn_by_a_seed(http: httpx.AsyncClient, ctx: Context, wanted: Wanted) -> None:
    """The same seed draws the same; the suite says how it was made, and the same draw is the same version."""
    await synced(ctx)
    for number in range(8):
        await ask(http, f"question {number}")
    await synced(ctx, V2)

    async def drawn(seed: int) -> tuple[str, set[str]]:
        replay = await service.start(ctx, wanted(sample=3, seed=seed))
        version = await ctx.get(Assets).resolve(ctx, Ref.parse(str(replay.suite)))
        examples = await ctx.get(Suites).examples(version)
        assert f"3 calls of prompt:help/answer since {wanted().since:%Y-%m-%d}" in version.note
        return str(replay.suite), {str(one.input["question"]) for one in examples}

    first, again, other = await drawn(1), await drawn(1), await drawn(2)
    assert first == again
    assert first[1] != other[1]
    assert {len(first[1]), len(other[1])} == {3}


async def test_whose_calls_and_which(http: httpx.AsyncClient, ctx: Context, wanted: Wanted) -> None:
    """Another prompt's or one version's, of a feature or a user; several versions are slices."""
    await synced(ctx)
    await ask(http, "of v1", user="ada")
    await synced(ctx, V2)
    await ask(http, "of v2")
    await answered(ctx, "by the server", feature="help")
    await sync_files(ctx, [PromptFile(path="help/other.md", text=V1)])

    async def calls(**more: Any) -> int:
        return (await service.plan(ctx, wanted("prompt:help/other", **more))).calls

    assert await calls() == 0
    assert await calls(of="prompt:help/answer") == 3
    assert await calls(of="prompt:help/answer@v1") == 1
    assert await calls(of="prompt:help/answer", feature="help") == 1
    assert await calls(of="prompt:help/answer", user="ada") == 1
    assert await calls(of="prompt:help/answer", until=wanted().since) == 0
    replay = await service.start(ctx, wanted("prompt:help/other", of="prompt:help/answer"))
    assert str(replay.before.subject) == "prompt:help/answer@v2"
    await done(ctx, replay)
    rows = await ctx.get(Evaluations).results(ctx, replay.after.id)
    assert {row.slice for row in rows} == {"prompt:help/answer@v1", "prompt:help/answer@v2"}


async def test_what_gimbal_asked_itself_is_nobodys_traffic(
    http: httpx.AsyncClient, ctx: Context, wanted: Wanted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is neither counted nor read, so that a long search leaves room for calls of production."""
    await synced(ctx)
    for number in range(12):
        await answered(ctx, f"searched {number}", feature="optimisation")
    await ask(http, "first")
    monkeypatch.setattr(service, "_MOST_READ", 1)
    plan = await service.plan(ctx, wanted("prompt:help/answer@v1", sample=1))
    assert (plan.calls, plan.traces) == (1, 1)


async def test_what_failed_then_is_missing_and_asked_again(
    http: httpx.AsyncClient, ctx: Context, upstream: Any, wanted: Wanted
) -> None:
    """A call that failed is traffic, too; a refusal is one."""
    await synced(ctx)
    upstream.faults = [500, 500, 500]
    assert (await ask(http, "failed")).status_code >= 500
    upstream.faults = ["refusal"]
    await ask(http, "refused")
    await synced(ctx, V2)
    replay = await service.start(ctx, wanted())
    await done(ctx, replay)

    evaluations = ctx.get(Evaluations)
    before = {row.input["question"]: row for row in await evaluations.results(ctx, replay.before.id)}
    assert (before["failed"].failure, before["refused"].failure) == ("error", "refused")
    assert before["failed"].missing.keys() == {"refusal", "length", "latency", "cost"}
    assert before["refused"].scores == {"refusal": 1.0}
    after = await evaluations.results(ctx, replay.after.id)
    assert [row.error for row in after] == ["", ""]
    assert sorted(row.scores.get("refusal", -1) for row in after) == [-1, 0]


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({}, None),
        ({VARIABLES_ATTRIBUTE: "no json"}, "unreadable"),
        ({VARIABLES_ATTRIBUTE: "[1, 2]"}, "unreadable"),
        ({VARIABLES_ATTRIBUTE: "[" * 100_000}, "unreadable"),
        ({VARIABLES_ATTRIBUTE: json.dumps({"question": "[email:dropped]"})}, "redacted"),
        ({VARIABLES_ATTRIBUTE: json.dumps({"question": "x"}), "gimbal.prompt.messages": 1}, "unreadable"),
        ({VARIABLES_ATTRIBUTE: json.dumps({"question": "x"}), "gimbal.prompt.messages": "two"}, "unreadable"),
        ({VARIABLES_ATTRIBUTE: json.dumps({"question": "x"}), "gimbal.prompt.messages": 1e300}, "unreadable"),
        ({VARIABLES_ATTRIBUTE: {"question": "[email:dropped]"}}, "redacted"),
    ],
)
async def test_what_cannot_be_asked_again_is_counted(
    ctx: Context, attributes: dict[str, Any], reason: str | None, wanted: Wanted
) -> None:
    """And never asked half; nothing is stored."""
    await synced(ctx)
    await filled_in_a_program(ctx, attributes)
    plan = await service.plan(ctx, wanted("prompt:help/answer@v1"))
    assert (plan.calls, plan.unused) == (0, {} if reason is None else {reason: 1})
    with pytest.raises(BadInput, match="No call in"):
        await service.start(ctx, wanted("prompt:help/answer@v1"))
    assert (await ctx.get(Assets).page(ctx, kind="suite")).items == []


async def test_calls_that_noted_no_variables_are_told(http: httpx.AsyncClient, ctx: Context, wanted: Wanted) -> None:
    """A model call that names the prompt and not what it was filled with."""
    await synced(ctx)
    now = int(datetime.now(UTC).timestamp() * 1e6)
    span = Span(
        trace_id=new_trace_id(), span_id=new_span_id(), name="chat", kind="llm", start_us=now, end_us=now + 1,
        refs=["prompt:help/answer@v1"], input='[{"role":"user","content":"x"}]', dialect="gimbal",
    )  # fmt: skip
    await ctx.get(Traces).record(ctx, [span])
    plan = await service.plan(ctx, wanted("prompt:help/answer@v1"))
    assert (plan.calls, plan.unused) == (0, {"no_variables": 1})


async def test_a_candidate_that_needs_more(
    http: httpx.AsyncClient, ctx: Context, upstream: Any, wanted: Wanted
) -> None:
    """What it cannot be filled with is told before; where that is all, nothing is asked."""
    await synced(ctx)
    await ask(http, "first")
    await synced(ctx, V1.replace("{{question}}", "{{question}} in {{language}}"))
    plan = await service.plan(ctx, wanted())
    assert list(plan.unfit.values()) == [1]
    with pytest.raises(BadInput, match="'language' is missing"):
        await service.start(ctx, wanted())
    free = V1.replace("[params]", '[variables.language]\ndefault = "English"\n\n[params]')
    await synced(ctx, free.replace("{{question}}", "{{question}} in {{language}}"))
    replay = await service.start(ctx, wanted("prompt:help/answer"))
    await done(ctx, replay)
    assert upstream.received[-1]["messages"][1]["content"] == "first in English"


async def test_the_form_of_answers_is_held_to(
    http: httpx.AsyncClient, ctx: Context, upstream: Any, wanted: Wanted
) -> None:
    """A candidate with a schema is judged by it beside the rest; other scorers may be named."""
    await synced(ctx)
    await ask(http, "first")
    await synced(
        ctx, V1.replace("+++\n\n## s", '\n[response]\nname = "a"\n[response.schema]\ntype = "object"\n+++\n\n## s')
    )
    upstream.words = ['{"a": 1}']
    replay = await service.start(ctx, wanted())
    await done(ctx, replay)
    runs = [await ctx.get(Evaluations).runs.get(ctx, one.id) for one in (replay.before, replay.after)]
    before, after = ({row.scorer: row for row in run.summaries}["json_schema"] for run in runs)
    assert (before.missing, before.worst) == ({"unparseable": 1}, 0)
    assert (after.missing, after.estimate.value) == ({}, 1)

    judge = ScorerSetting(scorer="groundedness", params={"check": "model", "model": "up/tiny"})
    assert (await service.plan(ctx, wanted())).judges == []
    nothing = await service.plan(ctx, wanted(scorers=[judge], feature="nobody's"))
    assert (nothing.calls, nothing.judges, nothing.judge_calls) == (0, ["up/tiny"], 0)
    plan = await service.plan(ctx, wanted(scorers=[judge]))
    # Five questions are assumed of the answer of then, and of the candidate's.
    assert (plan.judges, plan.judge_calls, plan.judge_cost) == (["up/tiny"], 10, None)
    assert "up/tiny" in plan.judge_unpriced
    chosen = await service.start(ctx, wanted(scorers=["readability"]))
    summary = await ctx.get(AnswerRecorder).judge(ctx, chosen.before.id)
    assert [one.scorer for one in summary.summaries] == ["readability"]


async def test_bad_requests_change_nothing(
    http: httpx.AsyncClient, ctx: Context, upstream: Any, wanted: Wanted
) -> None:
    """A candidate that is not there or no prompt, a scorer that is not there, a cap that cannot be held."""
    await synced(ctx, V1.replace("openai/gpt-4o-mini", "up/tiny"))
    await ask(http, "first")
    upstream.received.clear()
    cases: list[tuple[ReplayRequest, type[Exception]]] = [
        (wanted("prompt:help/none"), NotFound),
        (wanted("suite:help/none"), BadInput),
        (wanted("prompt:help/answer@v1", of="prompt:help/none"), NotFound),
        (wanted("prompt:help/answer@v1", scorers=["none"]), NotFound),
        (wanted("prompt:help/answer@v1", score=["helpful:?"]), BadInput),
        (wanted("prompt:help/answer@v1", max_cost=Decimal(1)), Unpriced),
        (wanted("prompt:help/answer@v1", max_cost=Decimal(-1)), BadInput),
        (wanted("prompt:help/answer@v1", max_cost=Decimal("NaN")), BadInput),
        (wanted("prompt:help/answer@v1", concurrency=65), BadInput),
    ]
    for asked, problem in cases:
        with pytest.raises(problem):
            await service.start(ctx, asked)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"candidate": "x", "since": wanted().since, "sample": 0}, ReplayRequest)
    assert (await ctx.get(Assets).page(ctx, kind="suite")).items == []
    assert (await ctx.get(Evaluations).runs.page(ctx)).items == []
    assert upstream.received == []
