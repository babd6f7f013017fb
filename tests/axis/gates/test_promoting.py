"""Promotions: on which evidence a gate decides, and that an alias moves by its Decision."""

import msgspec
import pytest
from tests.axis.evaluating import (
    SUBJECT,
    SUITE,
    Answers,
    evaluate,
    examples,
    store_subject,
    store_suite,
)
from tests.axis.gates.promoting import BETTER, FLOOR, WRONG, gate, promote, ready, standing
from tests.sqlite import catalog_address

from gimbal.axis.assets.model import AliasMoved, Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.model import Example, StartEvaluation
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.target import TargetOutput
from gimbal.axis.gates.model import Decided, Decision
from gimbal.axis.gates.service import Gates
from gimbal.axis.projects.audit import AuditLog
from gimbal.engines.stats.model import Estimate
from gimbal.kernel.context import Context
from gimbal.kernel.errors import Conflict, NotReady
from gimbal.kernel.events import EventBus

__all__ = ["catalog_address", "ready"]


# ---- deciding and moving ----


async def test_the_better_version_moves_the_alias(ready: Gates, ctx: Context) -> None:
    """Decision, move, history, audit and events belong together and name each other."""
    heard: list[object] = []

    async def hear(event: object) -> None:
        heard.append(event)

    for kind in (Decided, AliasMoved):
        ctx.get(EventBus).subscribe(kind, hear)  # type: ignore[type-abstract]
    decision = await promote(ctx, 2)

    move = (await ctx.get(Assets).history(ctx, "answerer", "help/answer", "production"))[0]
    record = (await ctx.get(AuditLog).page("default")).items[0]
    assert (decision.verdict, str(decision.candidate), str(decision.incumbent)) == (
        "promoted",
        f"{SUBJECT}@v2",
        f"{SUBJECT}@v1",
    )
    assert (move.to_number, move.from_number, move.decision_id, move.reason) == (2, 1, decision.id, "a try")
    assert (record.action, record.outcome) == ("gates.promote", "done")
    assert (record.details["decision_id"], record.details["verdict"]) == (decision.id, "promoted")
    assert {type(event) for event in heard} == {Decided, AliasMoved}
    assert await ready.decision(ctx, decision.id) == decision


async def test_every_number_is_in_the_decision(ready: Gates, ctx: Context) -> None:
    """What it was decided on can be checked by anybody later, from the document alone."""
    decision = await promote(ctx, 2)

    floor, better = decision.outcomes
    assert (floor.rule, better.rule) == (FLOOR, BETTER)
    assert (floor.candidate.value, floor.candidate.n, floor.candidate.clusters) == (1.0, 50, 25)
    for number in (floor.candidate, better.candidate, better.incumbent, better.difference):
        assert isinstance(number, Estimate)
        assert None not in (number.value, number.low, number.high, number.se)
    assert better.difference is not None
    assert better.difference.value == pytest.approx(0.5)
    assert better.p_value is not None
    assert better.p_value < 0.05
    assert better.detectable is not None
    run = (await ctx.get(Evaluations).runs.page(ctx, subject=f"{SUBJECT}@v2")).items[0]
    assert better.source == f"{SUITE}@v1, evaluation {run.id}"
    assert "difference 0.5000" in decision.text
    again = msgspec.json.decode(msgspec.json.encode(decision), type=Decision)
    assert again == decision


async def test_a_version_that_is_no_better_is_refused_and_that_is_kept(ready: Gates, ctx: Context) -> None:
    """The alias stays; the refusal is a Decision like any other."""
    await evaluate(ctx, await store_subject(ctx, 3, wrong=WRONG[1:]))

    decision = await promote(ctx, 3)

    assert (decision.verdict, await standing(ctx)) == ("refused", 1)
    assert decision.text.startswith("2 of 2 rules failed.")
    assert [o.verdict for o in decision.outcomes] == ["undecided", "underpowered"]
    assert await ready.decision(ctx, decision.id) == decision
    record = (await ctx.get(AuditLog).page("default")).items[0]
    assert record.details["verdict"] == "refused"


async def test_a_candidate_that_was_evaluated_until_it_passed_is_told(ready: Gates, ctx: Context) -> None:
    """The newest evaluation counts, and the decision says how many there were."""
    again = await store_subject(ctx, 3, wrong=WRONG[1:])
    for _ in range(3):
        await evaluate(ctx, again)

    sources = [outcome.source for outcome in (await promote(ctx, 3)).outcomes]

    assert all(source.endswith(f"the newest of 3 of {SUBJECT}@v3") for source in sources)
    assert all("newest of" not in outcome.source for outcome in (await promote(ctx, 2)).outcomes)


async def test_all_rules_must_hold(ready: Gates, ctx: Context) -> None:
    await gate(ctx, BETTER, msgspec.structs.replace(FLOOR, threshold=1.0))

    decision = await promote(ctx, 2)

    assert [o.passed for o in decision.outcomes] == [True, False]
    assert (decision.verdict, await standing(ctx)) == ("refused", 1)
    assert decision.text.startswith("1 of 2 rules failed.")


async def test_what_stands_there_already_is_a_conflict(ready: Gates, ctx: Context) -> None:
    with pytest.raises(Conflict, match="is production already"):
        await promote(ctx, 1)

    assert (await ready.decisions(ctx)).items == []


# ---- evidence ----


async def test_without_an_evaluation_nothing_is_decided(ready: Gates, ctx: Context) -> None:
    """The message says what to run."""
    await store_subject(ctx, 3)
    with pytest.raises(NotReady, match=f"{SUBJECT}@v3 has not been evaluated") as refused:
        await promote(ctx, 3)

    assert f"--suite {SUITE}@v1 --subject {SUBJECT}@v3" in refused.value.todo
    assert refused.value.kept == "the alias where it stood"
    assert (await standing(ctx), (await ready.decisions(ctx)).items) == (1, [])


async def test_an_evaluation_that_is_not_done_is_no_evidence(ready: Gates, ctx: Context) -> None:
    await store_subject(ctx, 3)
    await ctx.get(Evaluations).start(ctx, StartEvaluation(suite=SUITE, subject=f"{SUBJECT}@v3"))

    with pytest.raises(NotReady):
        await promote(ctx, 3)


async def test_evidence_on_another_version_of_the_suite_does_not_count(ready: Gates, ctx: Context) -> None:
    """Neither for the candidate nor for the incumbent; a rule that names a version keeps to it."""
    await store_suite(ctx, examples(51, clusters=25))
    with pytest.raises(NotReady, match=f"on {SUITE}@v2"):
        await promote(ctx, 2)
    await evaluate(ctx, await store_subject(ctx, 2))
    with pytest.raises(NotReady, match=f"{SUBJECT}@v1 has not been evaluated on {SUITE}@v2"):
        await promote(ctx, 2)
    assert await standing(ctx) == 1

    await gate(ctx, *(msgspec.structs.replace(rule, source=f"{SUITE}@v1") for rule in (FLOOR, BETTER)))
    assert (await promote(ctx, 2)).verdict == "promoted"


async def test_evidence_of_another_project_or_candidate_does_not_count(ready: Gates, ctx: Context) -> None:
    """A version of the same content elsewhere is another version."""
    other = ctx.within("flights")
    await store_suite(other, examples(50, clusters=25))
    await evaluate(other, await store_subject(other, 3))
    await store_subject(ctx, 3)

    with pytest.raises(NotReady, match="@v3 has not been evaluated"):
        await promote(ctx, 3)


async def test_calls_that_failed_refuse(ready: Gates, ctx: Context, answers: Answers) -> None:
    """A candidate that answers only what it can is not let in for being right on the rest."""

    async def answer(version: Version, example: Example) -> TargetOutput:
        if example.id in {"q7", "q8"}:
            return TargetOutput(error="timeout")
        return TargetOutput(text=example.expected["answer"])

    answers.answer = answer
    await evaluate(ctx, await store_subject(ctx, 3))
    refused = await promote(ctx, 3)
    await gate(ctx, *(msgspec.structs.replace(rule, allowed_missing=0.05) for rule in (FLOOR, BETTER)))
    allowed = await promote(ctx, 3)

    assert (refused.verdict, [o.verdict for o in refused.outcomes]) == ("refused", ["incomplete"] * 2)
    assert "missing for 2 of 50 units (2 error)" in refused.text
    assert (allowed.verdict, allowed.outcomes[1].unpaired, allowed.outcomes[1].missing) == ("promoted", 2, {"error": 2})


async def test_examples_that_expect_nothing_are_not_missing(gates: Gates, ctx: Context) -> None:
    await store_suite(ctx, [*examples(30), Example(id="open", input={})])
    await evaluate(ctx, await store_subject(ctx, 1))
    await gate(ctx, FLOOR)

    decision = await promote(ctx, 1)

    assert (decision.verdict, decision.outcomes[0].candidate.n, decision.outcomes[0].missing) == ("promoted", 30, {})


async def test_a_metric_that_the_suite_does_not_have_refuses(ready: Gates, ctx: Context) -> None:
    await gate(ctx, msgspec.structs.replace(FLOOR, metric="token_f1"))

    decision = await promote(ctx, 2)

    assert (decision.verdict, decision.outcomes[0].verdict) == ("refused", "undecided")
    assert "undefined (no values)" in decision.text


async def test_the_first_version_needs_the_threshold_only(gates: Gates, ctx: Context) -> None:
    await store_suite(ctx, examples(50))
    await evaluate(ctx, await store_subject(ctx, 1))
    await gate(ctx, msgspec.structs.replace(BETTER, threshold=0.5))

    decision = await promote(ctx, 1)

    assert (decision.verdict, decision.incumbent, await standing(ctx)) == ("promoted", None, 1)


async def test_a_suite_too_small_refuses_and_says_so(gates: Gates, ctx: Context) -> None:
    """Four of four against none of four."""
    await store_suite(ctx, examples(4))
    await evaluate(ctx, await store_subject(ctx, 1, wrong=["q0", "q1", "q2", "q3"]))
    await evaluate(ctx, await store_subject(ctx, 2))
    await ctx.get(Assets).move_alias(ctx, "answerer", "help/answer", "production", "v1")
    await gate(ctx, BETTER)

    decision = await promote(ctx, 2)

    assert (decision.verdict, decision.outcomes[0].verdict) == ("refused", "underpowered")
    assert "underpowered" in decision.text
    assert await standing(ctx) == 1
