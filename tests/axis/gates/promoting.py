"""Two evaluated versions and a gate between them, and the verbs that the tests of gates ask for."""

import pytest
from tests.axis.evaluating import (
    SUBJECT,
    SUITE,
    evaluate,
    examples,
    store_subject,
    store_suite,
)

from gimbal.axis.assets.service import Assets
from gimbal.axis.gates.model import Decision, Promote, Rule, SetGate
from gimbal.axis.gates.service import Gates
from gimbal.kernel.context import Context
from gimbal.kernel.operations import find, invoke

PATTERN = f"{SUBJECT}@production"
FLOOR = Rule(evidence="evaluation", source=SUITE, metric="exact_match", threshold=0.5)
BETTER = Rule(evidence="evaluation", source=SUITE, metric="exact_match", against="incumbent")
WRONG = [f"q{i}" for i in range(25)]


async def gate(ctx: Context, *rules: Rule, pattern: str = PATTERN) -> None:
    await ctx.get(Gates).set(ctx, SetGate(pattern=pattern, rules=list(rules)))


async def promote(ctx: Context, number: int, alias: str = "production") -> Decision:
    body = Promote(candidate=f"{SUBJECT}@v{number}", alias=alias, reason="a try")
    return await invoke(find("gates.promote"), ctx, {"project": "default", "body": body})


async def standing(ctx: Context, alias: str = "production") -> int | None:
    found = {a.alias: a.number for a in await ctx.get(Assets).aliases(ctx, "answerer", "help/answer")}
    return found.get(alias)


@pytest.fixture
async def ready(gates: Gates, ctx: Context) -> Gates:
    """Give a gate and two evaluated versions: v1, wrong on 25 of 50 questions, in production, and v2, right on all."""
    await store_suite(ctx, examples(50, clusters=25))
    await evaluate(ctx, await store_subject(ctx, 1, wrong=WRONG))
    await evaluate(ctx, await store_subject(ctx, 2))
    await ctx.get(Assets).move_alias(ctx, "answerer", "help/answer", "production", "v1")
    await gate(ctx, FLOOR, BETTER)
    return gates
