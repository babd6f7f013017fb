"""What the synthesis of suites is tried on: a model that writes what a test says, at the cost that it says."""

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest

import gimbal.axis.evals.synthesis.work  # noqa: F401  # pyright: ignore[reportUnusedImport] - declares the job
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.target import Foreseen
from gimbal.axis.scores.asking import Complete, Foresee, Said
from gimbal.kernel.context import Context, Services


class Writer:
    """A model that writes what `say` makes of a passage, and what its calls cost."""

    def __init__(self) -> None:
        self.say: Callable[[str], str] = lambda passage: json.dumps([about(passage)])
        self.cost: Decimal | None = Decimal("0.01")
        self.foreseen = Foreseen(cost=Decimal("0.01"), most=Decimal("0.02"))
        self.asked: list[str] = []
        self.told: list[Mapping[str, str]] = []

    async def complete(
        self, ctx: Context, model: str, messages: Sequence[Mapping[str, str]], params: Mapping[str, Any]
    ) -> Said:
        """Note the call and answer it."""
        passage = json.loads(messages[-1]["content"])["passage"]
        self.asked.append(passage)
        self.told = list(messages)
        return Said(text=self.say(passage), trace_id=f"trace{len(self.asked)}", cost=self.cost)

    async def foresee(self, ctx: Context, model: str, given: Sequence[int], longest: int) -> Foreseen:
        """Say what the test says of calls."""
        return self.foreseen


def about(passage: str) -> dict[str, str]:
    """Return a question that a passage like "The pump in cellar 3 needs 7 litres of oil." answers."""
    words = passage.split()
    return {"question": f"What is told of {' '.join(words[:5])} there?", "answer": words[-1], "evidence": passage}


@pytest.fixture
def model(evaluations: Evaluations, axis: Services) -> Writer:
    """Give the model, bound as the gateway's would be."""
    found = Writer()
    axis.register(Complete, found.complete)
    axis.register(Foresee, found.foresee)
    return found
