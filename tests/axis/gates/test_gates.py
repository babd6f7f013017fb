"""Gates themselves: what can be set, what a pattern guards, and the list of decisions."""

import msgspec
import pytest
from tests.axis.evaluating import (
    SUBJECT,
    evaluate,
    store_subject,
)
from tests.axis.gates.promoting import BETTER, FLOOR, PATTERN, WRONG, gate, promote, ready, standing
from tests.sqlite import catalog_address

from gimbal.axis.gates.model import Promote, SetGate, guards, specific
from gimbal.axis.gates.service import Gates
from gimbal.kernel.context import Context
from gimbal.kernel.errors import (
    BadInput,
    NotFound,
)
from gimbal.kernel.ids import new_id
from gimbal.kernel.operations import decode_body
from gimbal.kernel.pages import encode_cursor

__all__ = ["catalog_address", "ready"]


# ---- gates themselves ----


async def test_a_gate_is_replaced_by_its_pattern(gates: Gates, ctx: Context) -> None:
    first = await gates.set(ctx, SetGate(pattern=PATTERN, rules=[FLOOR]))
    second = await gates.set(ctx, SetGate(pattern=PATTERN, rules=[BETTER]))

    assert (first.id, second.rules) == (second.id, [BETTER])
    assert await gates.all(ctx) == [second]
    assert await gates.all(ctx.within("flights")) == []
    with pytest.raises(NotFound):
        await gates.remove(ctx.within("flights"), first.id)
    await gates.remove(ctx, first.id)
    with pytest.raises(NotFound):
        await gates.remove(ctx, first.id)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"threshold": None}, "rules[1].threshold"),
        ({"level": 0.5}, "rules[1].level"),
        ({"level": 1.0}, "rules[1].level"),
        ({"margin": -0.1}, "rules[1].margin"),
        ({"allowed_missing": 1.0}, "rules[1].allowed_missing"),
        ({"allowed_missing": -0.1}, "rules[1].allowed_missing"),
        ({"metric": ""}, "rules[1].metric"),
        ({"source": "help questions"}, "name"),
        ({"evidence": "dataset", "metric": "f1"}, "rules[1].metric"),
        ({"evidence": "dataset", "metric": "log_loss"}, "rules[1].higher_is_better"),
        ({"evidence": "dataset", "metric": "brier"}, "rules[1].higher_is_better"),
        ({"evidence": "dataset", "metric": "auc", "higher_is_better": False}, "rules[1].higher_is_better"),
    ],
)
async def test_a_rule_that_makes_no_sense_is_refused(
    gates: Gates, ctx: Context, change: dict[str, object], where: str
) -> None:
    """Above all one that would let in what is worse: a higher loss."""
    with pytest.raises(BadInput) as refused:
        await gates.set(ctx, SetGate(pattern=PATTERN, rules=[FLOOR, msgspec.structs.replace(FLOOR, **change)]))

    assert refused.value.where == where
    assert await gates.all(ctx) == []


async def test_a_gate_without_rules_or_pattern_is_refused(gates: Gates, ctx: Context) -> None:
    """An unknown source of evidence too, with those there are."""
    for pattern in (
        "",
        "production",
        "@production",
        "model:a",
        "model:a@",
        "*@production",
        "model:a?@production",
        "model:[a]b@production",
        "model:a@b@c",
        "Model:a@b",
    ):
        with pytest.raises(BadInput, match="is not an alias pattern"):
            await gates.set(ctx, SetGate(pattern=pattern, rules=[FLOOR]))
    with pytest.raises(BadInput, match="needs a rule"):
        await gates.set(ctx, SetGate(pattern=PATTERN, rules=[]))
    with pytest.raises(NotFound, match="'votes'") as refused:
        await gates.set(ctx, SetGate(pattern=PATTERN, rules=[msgspec.structs.replace(FLOOR, evidence="votes")]))
    assert "evaluation" in refused.value.todo
    with pytest.raises(BadInput, match="Invalid enum value 'history'"):
        decode_body(b'{"pattern":"a:b@c","rules":[{"evidence":"evaluation","source":"s","metric":"m","against":"history"}]}', SetGate)  # fmt: skip


async def test_the_most_specific_gate_decides(ready: Gates, ctx: Context) -> None:
    """A wide one for all prompts, a narrow one for this: the narrow one counts, also where it asks less."""
    await gate(ctx, msgspec.structs.replace(FLOOR, threshold=1.0), pattern="answerer:*@*")

    decision = await promote(ctx, 2)

    assert (decision.pattern, decision.verdict) == (PATTERN, "promoted")
    assert [p for p in ("a:*@*", "a:b/*@production", "a:b/c@production") if guards(p, "a:b/c", "production")] == sorted(
        ["a:b/c@production", "a:b/*@production", "a:*@*"], key=specific
    )
    assert not guards("model:a@production", "model:ab", "production")
    assert not guards("model:a*@production", "model:ab", "staging")


async def test_decisions_are_listed_newest_first(ready: Gates, ctx: Context) -> None:
    await evaluate(ctx, await store_subject(ctx, 3, wrong=WRONG))
    made = [(await promote(ctx, n)).id for n in (3, 3, 3, 2)]
    found: list[str] = []
    cursor = None
    while True:
        page = await ready.decisions(ctx, cursor=cursor, limit=3)
        found += [d.id for d in page.items]
        cursor = page.next
        if cursor is None:
            break

    assert found == made[::-1]
    assert len((await ready.decisions(ctx, asset=SUBJECT)).items) == 4
    assert (await ready.decisions(ctx, asset="answerer:help")).items == []
    assert (await ready.decisions(ctx.within("flights"))).items == []
    with pytest.raises(NotFound):
        await ready.decision(ctx.within("flights"), made[0])
    with pytest.raises(NotFound):
        await ready.decision(ctx, new_id())
    for forged in ("x", encode_cursor({"id": 3}), encode_cursor({})):
        with pytest.raises(BadInput, match="not made by this list"):
            await ready.decisions(ctx, cursor=forged)


async def test_a_promotion_that_makes_no_sense_is_refused(ready: Gates, ctx: Context) -> None:
    for body, error in (
        (Promote(candidate=f"{SUBJECT}@v9", alias="production"), NotFound),
        (Promote(candidate="help/answer@v2", alias="production"), BadInput),
        (Promote(candidate=f"{SUBJECT}@v2", alias="latest"), BadInput),
        (Promote(candidate=f"{SUBJECT}@v2", alias="production", reason="x" * 2_001), BadInput),
    ):
        with pytest.raises(error):
            await ready.promote(ctx, body)

    assert (await standing(ctx), (await ready.decisions(ctx)).items) == (1, [])
