"""Prompts improved by a suite: what helps is found and proven, what does not is not, and nothing of the proof leaks."""

import random
from decimal import Decimal

import msgspec
import pytest
from tests.generative.gateway.optimising.conftest import (
    BETTER,
    FILE,
    PROMPT,
    SUITE,
    examples,
    number_of,
    optimised,
    store,
)

from gimbal.axis.assets.service import Assets
from gimbal.axis.gates.model import Rule, SetGate
from gimbal.axis.gates.service import Gates
from gimbal.axis.scores.asking import Complete, Foresee
from gimbal.axis.scores.scorer import ScorerSetting
from gimbal.axis.traces.filters import TraceFilter
from gimbal.axis.traces.service import Traces
from gimbal.generative.gateway.asking import said
from gimbal.generative.gateway.optimising.model import OptimisePrompt
from gimbal.generative.gateway.optimising.service import Optimisations
from gimbal.generative.gateway.reckoning import reckoned
from gimbal.generative.prompts.model import PromptFile
from gimbal.generative.prompts.planning import plan_files
from gimbal.generative.prompts.service import source
from gimbal.kernel.refs import Ref


async def test_an_instruction_that_helps_is_found_proven_and_offered(optimisations, ctx, upstream):
    """The reflector's text becomes a version made from the start and the suite, and `candidate` stands on it."""
    start = await store(ctx, examples(32))

    found = await optimised(ctx, methods=["reflection"])

    assert (found.status, found.start_mark, found.best_mark) == ("done", 0, 1), found
    assert (found.proof.verdict, found.proof.mark.difference.value) == ("better", 1)
    assert str(found.winner) == f"{PROMPT}@v2"
    assert found.alias == "candidate stands on v2"
    winner = await ctx.get(Assets).resolve(ctx, Ref.parse(f"{PROMPT}@candidate"))
    assert [str(ref) for ref in winner.inputs] == [str(start.ref), f"{SUITE}@v1"]
    assert found.id in winner.note
    _, content = await source(ctx, Ref.parse(f"{PROMPT}@v2"))
    assert content.decode() == FILE.replace("{{topic}}.", "{{topic}}. Spell it out.")
    plan = await plan_files(ctx, [PromptFile(path="help/answer.md", text=content.decode())])
    assert plan.unchanged == 1


async def test_nothing_that_is_held_out_is_shown_to_anybody(optimisations, ctx, upstream):
    """Neither the reflector nor a shown example has a held-out question; the winner and the start alone answer them."""
    await store(ctx, examples(48))
    upstream.rule = lambda messages: f"word{number_of(messages)}" if len(messages) >= 6 else "no telling"

    found = await optimised(ctx, rounds=8)

    held = {f"What is number {name[1:]}?" for name in found.split.validation}
    trained = {f"What is number {name[1:]}?" for name in found.split.train}
    asked = "\n".join(message["content"] for messages in upstream.reflected for message in messages)
    assert any(question in asked for question in trained)
    assert not any(question in asked for question in held)
    shown = {m["content"] for messages in upstream.asked for m in messages[1:-1] if m["role"] == "user"}
    assert shown
    assert shown <= {f"What is number {name[1:]}?" for name in found.split.shots}
    answered = [messages for messages in upstream.asked if messages[-1]["content"] in held]
    assert len(answered) == 2 * len(held)
    chosen = (await optimisations.candidates(ctx, found.id))[found.chosen]
    assert {len(messages) for messages in answered} == {2, 2 + 2 * len(chosen.shots)}


async def test_examples_that_help_are_found(optimisations, ctx, upstream):
    """An upstream that needs two examples gets them, with their expected answers, as messages before the question."""
    await store(ctx, examples(48))
    upstream.rule = lambda messages: f"word{number_of(messages)}" if len(messages) >= 6 else "no telling"

    found = await optimised(ctx, methods=["few_shot"], rounds=6)

    assert (found.status, found.proof.verdict) == ("done", "better")
    winner = await ctx.get(Assets).resolve(ctx, Ref.parse(str(found.winner)))
    roles = [message["role"] for message in winner.manifest["messages"]]
    assert roles[0] == "system"
    assert roles[-1] == "user"
    assert roles[1:-1] == ["user", "assistant"] * ((len(roles) - 2) // 2)
    shown = winner.manifest["messages"][1:-1]
    number = shown[0]["content"].rpartition(" ")[2].strip("?")
    assert shown[1]["content"] == f"word{number}"
    assert upstream.reflected == []


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("I would say more about numbers.", "no instruction"),
        ("", "empty"),
        ("<instruction>\n\n</instruction>", "empty"),
        ("<instruction>Answer. Spell it out.</instruction>", "lost a variable"),
        ("<instruction>Answer about {{topic}} and {{mood}}. Spell it out.</instruction>", "added a variable"),
        ("<instruction>Answer {{#if topic}}. Spell it out.</instruction>", "no template"),
        ("<instruction>{{topic}} {{> other/prompt}} Spell it out.</instruction>", "changed what is included"),
        ("<instruction>Answer about {{topic}}.</instruction>", "nothing new"),
        ("<instruction>Answer about {{topic}}, please.</instruction>", "not better on its minibatch"),
    ],
)
async def test_bad_proposals_are_counted_and_harmless(optimisations, ctx, upstream, said, reason):
    """What is no better version of the message is refused under its reason, and no version comes of it."""
    await store(ctx, examples(24))
    upstream.reflections = lambda _: said

    found = await optimised(ctx, methods=["reflection"], rounds=2)

    assert found.status == "done"
    assert sum(found.refused.values()) == 2
    assert reason in found.refused
    assert (found.winner, found.proof, found.chosen) == (None, None, None)
    assert (await ctx.get(Assets).resolve(ctx, Ref.parse(PROMPT))).number == 1


async def test_a_reflector_that_is_right_once_is_enough(optimisations, ctx, upstream):
    """Prose and lost variables before do not keep the search from what comes later."""
    await store(ctx, examples(32))
    upstream.reflections = lambda n: ["What a task!", "<instruction>Spell it out.</instruction>", BETTER][min(n, 2)]

    found = await optimised(ctx, methods=["reflection"])

    assert found.proof.verdict == "better"
    assert {"no instruction": 1, "lost a variable": 1}.items() <= found.refused.items()


async def test_what_only_luck_made_better_is_not_promoted(optimisations, ctx, upstream):
    """Answers by the toss of a coin: some candidate is ahead in training; the proof does not say better of it."""
    await store(ctx, examples(40))
    tossed = random.Random(5)
    upstream.rule = lambda messages: f"word{number_of(messages)}" if tossed.random() < 0.5 else "no telling"
    upstream.reflections = lambda n: f"<instruction>Answer about {{{{topic}}}}, variant {n}.</instruction>"

    found = await optimised(ctx, methods=["reflection"], rounds=6)

    assert found.status == "done"
    assert found.proof is None or found.proof.verdict != "better"
    assert "candidate stands" not in found.alias


async def test_a_gate_on_the_alias_is_not_gone_around(optimisations, ctx, upstream):
    """The winner is a version; that a gate guards `candidate` is reported."""
    await store(ctx, examples(32))
    rule = Rule(evidence="evaluation", source=SUITE, metric="exact_match", threshold=0.5)
    await ctx.get(Gates).set(ctx, SetGate(pattern=f"{PROMPT}@candidate", rules=[rule]))

    found = await optimised(ctx, methods=["reflection"])

    assert (found.proof.verdict, str(found.winner)) == ("better", f"{PROMPT}@v2")
    assert found.alias.startswith("candidate stays where it is: A gate guards")
    assert await ctx.get(Assets).aliases(ctx, "prompt", "help/answer") == []


async def test_calls_are_recorded_as_those_of_an_optimisation(optimisations, ctx, upstream):
    """Answers and reflections are traces with their price; only what is a version is named in them."""
    await store(ctx, examples(24))

    found = await optimised(ctx, methods=["reflection"], rounds=1)

    asked = len(upstream.asked) + len(upstream.reflected)
    # Those of other tests are older.
    page = await ctx.get(Traces).page(ctx, TraceFilter(feature="optimisation"), limit=asked)
    assert len(page.items) == asked
    assert found.spent == sum(row.cost for row in page.items) > 0
    assert all(row.start >= found.started_at for row in page.items)


async def planned_cost(ctx, options):
    plan = await ctx.get(Optimisations).plan(ctx, Ref.parse(PROMPT), msgspec.convert(options, OptimisePrompt))
    return plan.cost


async def test_what_judges_ask_is_paid_from_the_same_purse(optimisations, ctx, upstream):
    """Answers, judgements and reflections together are what was spent, and no more than the cap."""
    rows = [msgspec.structs.replace(row, expected={**row.expected, "goals": ["says it"]}) for row in examples(24)]
    judge = ScorerSetting(scorer="goals", params={"check": "model", "model": "openai/gpt-4o-mini"})
    await store(ctx, rows, scorers=["exact_match", judge])
    ctx.services.register(Complete, said)
    ctx.services.register(Foresee, reckoned)
    rule, judged = upstream.rule, []

    def answer(messages):
        if "reached a goal" not in messages[0]["content"]:
            return rule(messages)
        judged.append(messages)
        return "met"

    upstream.rule = answer
    marks = [{"scorer": "exact_match"}, {"scorer": "goals"}]
    options = {"suite": SUITE, "methods": ["reflection"], "rounds": 1, "max_cost": "0.02"}
    costs = [await planned_cost(ctx, options | {"marks": some}) for some in (marks[:1], marks)]
    assert costs[0] < costs[1], "the plan says what judges take"
    found = await optimised(ctx, methods=["reflection"], rounds=1, max_cost="0.02", marks=marks)

    each = Decimal("0.0000078")  # of any call: 40 tokens, 8 of them cached, and 4 that are said
    assert len(judged) > 24
    assert found.spent == each * (len(upstream.asked) + len(upstream.reflected)) <= Decimal("0.02")
