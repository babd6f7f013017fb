"""Goals of a conversation, by patterns and by a model."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from gimbal.axis.scores.asking import Complete, Said
from gimbal.axis.scores.builtin.goals import goals
from gimbal.kernel.context import NOBODY, Context, Services
from gimbal.testing.scorers import check_asking_scorer

HERE = Context(Services(), NOBODY)
STEPS = [
    {"role": "user", "content": "Book a table for Anna at 8 and send a mail."},
    {"role": "tool", "content": '{"booking": "T-17"}'},
    {"role": "assistant", "content": "Booked as T-17."},
]


async def test_the_value_is_the_share_of_goals_that_were_met() -> None:
    """What the user asked for is not what was done: only the assistant and its tools count."""
    found = await goals(HERE, {"goals": [r"booked as t-\d+", "mail"]}, {"steps": STEPS})

    assert found.value == 0.5
    assert found.explanation == "unmet: 'mail' (not found)"
    assert (await goals(HERE, {"goals": "mail"}, {"steps": STEPS, "text": "The mail is sent."})).value == 1.0
    assert (await goals(HERE, {"goals": ["booked"]}, {"text": "It is BOOKED."})).value == 1.0
    assert (await goals(HERE, {"goals": ["booked"]}, {"steps": []})).value == 0.0


async def test_a_model_is_asked_once_for_each_goal_with_the_whole_conversation() -> None:
    asked: list[dict[str, Any]] = []

    async def complete(
        ctx: Context, model: str, messages: Sequence[Mapping[str, str]], params: Mapping[str, Any]
    ) -> Said:
        asked.append(msgspec.json.decode(messages[-1]["content"]))
        return Said(text="Met." if "booked" in asked[-1]["goal"] else "unmet")

    ctx = Context(Services(), NOBODY)
    ctx.services.register(Complete, complete)
    wanted = {"goals": ["A table is booked (for Anna", "A mail is sent."]}
    found = await goals(ctx, wanted, {"steps": STEPS, "text": "Booked as T-17."}, check="model", model="m")

    assert found.value == 0.5
    assert "'A mail is sent.'" in found.explanation
    assert [one["goal"] for one in asked] == wanted["goals"]
    assert asked[0]["conversation"] == STEPS


@pytest.mark.parametrize(
    ("expected", "output", "params", "reason"),
    [
        ({}, {"text": "x"}, {}, "no_expectation"),
        ({"goals": []}, {"text": "x"}, {}, "no_expectation"),
        ({"goals": [" "]}, {"text": "x"}, {}, "no_expectation"),
        ({"goals": ["x"]}, {}, {}, "no_output"),
        ({"goals": ["x"]}, {"steps": "x", "text": None}, {}, "no_output"),
        ({"goals": ["(x"]}, {"text": "x"}, {}, "bad_expectation"),
        ({"goals": ["x)|(y"]}, {"text": "x"}, {}, "bad_expectation"),
        ({"goals": ["\ud800"]}, {"text": "x"}, {}, "bad_expectation"),
        ({"goals": ["x"]}, {"text": "x"}, {"check": "model"}, "judge_failed"),
        ({"goals": ["x"]}, {"text": "x" * 5_000_000}, {"check": "model", "model": "m"}, "too_long"),
    ],
)
async def test_what_cannot_be_checked_is_missing_with_a_reason(
    expected: Any, output: Any, params: dict[str, Any], reason: str
) -> None:
    found = await goals(HERE, expected, output, **params)

    assert (found.value, found.missing) == (None, reason)


async def test_it_keeps_the_promises_of_scorers() -> None:
    """Messages without a text are passed over, and a pattern takes linear time over any text."""
    await check_asking_scorer(HERE, goals, {"goals": ["booked"]}, {"steps": STEPS, "text": "Booked."})
    strange: list[Any] = [
        None,
        3,
        {"role": 3, "content": "\ud800\x00 booked"},
        {"content": None},
        {"role": "assistant"},
    ]
    assert (await goals(HERE, {"goals": ["booked"]}, {"steps": strange})).value == 1.0
    assert (await goals(HERE, {"goals": ["(a+)+b"]}, {"text": "a" * 5_000_000})).value == 0.0
