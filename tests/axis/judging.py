"""What the cost of judges is tried on: a judge at a price of the test's choice, and a suite that asks it."""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest
from tests.axis.evaluating import examples

from gimbal.axis.assets.model import Version
from gimbal.axis.evals.model import Example
from gimbal.axis.evals.target import TargetOutput
from gimbal.axis.scores.asking import Complete, Foresee, Priced, Said
from gimbal.axis.scores.scorer import ScorerSetting
from gimbal.kernel.context import Context, Services
from gimbal.kernel.errors import Upstream
from gimbal.kernel.money import ZERO

CENT = Decimal("0.01")
JUDGE = "judges/strict"
SCORERS = [ScorerSetting(scorer="goals", params={"check": "model", "model": JUDGE}), "exact_match"]


class Judges:
    """A judge that is always content, at a price of the test's choice."""

    def __init__(self) -> None:
        self.price: Callable[[], Decimal | None] = lambda: CENT
        self.fails: Callable[[], bool] = lambda: False
        self.foreseen = Priced(cost=CENT, most=CENT)
        self.pauses: Callable[[], int] = lambda: 1
        """How many others may go on before it answers."""
        self.calls = 0
        self.paid = ZERO

    async def foresee(self, ctx: Context, model: str, given: Sequence[int], longest: int | None) -> Priced:
        """Say what the test says of calls."""
        return self.foreseen

    async def complete(self, ctx: Context, model: str, messages: Any, params: Any) -> Said:
        """Note the call and answer it."""
        assert model == JUDGE
        for _ in range(self.pauses()):
            await asyncio.sleep(0)
        if self.fails():
            raise Upstream("The judge has no time.", todo="Ask later.")
        self.calls += 1
        cost = self.price()
        self.paid += cost or ZERO
        return Said(text="met", cost=cost)


@pytest.fixture
def judges(axis: Services) -> Judges:
    """Give the judge, bound as the gateway's would be."""
    found = Judges()
    axis.register(Complete, found.complete)
    axis.register(Foresee, found.foresee)
    return found


def with_goals(count: int, goals: int = 2) -> list[Example]:
    """Return examples with goals, about each of which the judge is asked once."""
    return [
        Example(id=one.id, input=one.input, expected=one.expected | {"goals": [f"goal {n}" for n in range(goals)]})
        for one in examples(count)
    ]


async def says(version: Version, example: Example) -> TargetOutput:
    """Answer right, for a cent."""
    await asyncio.sleep(0)
    return TargetOutput(text=example.expected["answer"], cost=CENT)
