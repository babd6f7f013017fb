"""Optimisations over a gateway whose upstream follows a rule, so that a better prompt really answers better."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from tests.upstreams import OPENAI_USAGE, Upstream, serve

import gimbal.axis.assets.operations
import gimbal.generative.gateway.optimising.operations
import gimbal.generative.gateway.optimising.work  # noqa: F401 - declares the job
from gimbal.axis.assets.model import GatePolicy, Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.model import CreateSuite, Example
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.suites import Suites
from gimbal.axis.evals.target import TARGETS
from gimbal.axis.gates.service import Gates
from gimbal.axis.scores.scorer import ScorerSetting
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.generative.gateway.optimising.model import Optimisation, OptimisePrompt
from gimbal.generative.gateway.optimising.service import Optimisations
from gimbal.generative.gateway.optimising.target import CANDIDATES
from gimbal.generative.gateway.target import PROMPTS
from gimbal.generative.prompts.model import PromptFile
from gimbal.generative.prompts.service import sync_files
from gimbal.kernel.clock import SystemClock
from gimbal.kernel.context import Context, Services
from gimbal.kernel.ids import new_id
from gimbal.kernel.refs import Ref

SUITE, PROMPT = "suite:help/questions", "prompt:help/answer"
FILE = """+++
# What people wrote stays.
model = "openai/gpt-4o-mini"

[params]
max_tokens = 64
+++

## system
Answer about {{topic}}.

## user
{{question}}
"""
BETTER = "<instruction>\nAnswer about {{topic}}. Spell it out.\n</instruction>"

Messages = list[dict[str, Any]]


class Ruled(Upstream):
    """Answers by a rule: right where the system's message says `Spell it out`."""

    def __init__(self) -> None:
        super().__init__()
        self.rule: Callable[[Messages], str] = self.right_when_told
        self.reflections: Callable[[int], str] = lambda _: BETTER
        """What the reflector says, by the number of times that it was asked before."""
        self.reflected: list[Messages] = []
        self.asked: list[Messages] = []
        self.tokens = {"prompt_tokens": 40, "completion_tokens": 4, "total_tokens": 44}

    def right_when_told(self, messages: Messages) -> str:
        """Say the word that is expected, or that there is no telling."""
        told = "Spell it out" in messages[0]["content"]
        return f"word{number_of(messages)}" if told else "no telling"

    def _openai_body(self, request: dict[str, Any], fault: str | None) -> dict[str, Any]:
        messages: Messages = request["messages"]
        if messages[0]["content"].startswith("You improve one message"):
            self.reflected.append(messages)
            text = self.reflections(len(self.reflected) - 1)
        else:
            self.asked.append(messages)
            text = self.rule(messages)
        self.words, self.usage = [text], {**OPENAI_USAGE, **self.tokens}
        return super()._openai_body(request, fault)


def number_of(messages: Messages) -> int:
    """Return the number that a question is about."""
    return int(messages[-1]["content"].rpartition(" ")[2].strip("?"))


@pytest.fixture
async def upstream():
    """Give the upstream that answers by a rule."""
    app = Ruled()
    async with serve(app) as url:
        app.url = url
        yield app
        app.release.set()


@pytest.fixture
def optimisations(gateway: Services) -> Optimisations:
    """Give the optimisations of an installation, with suites, evaluations, gates and jobs."""
    catalog, assets = gateway.get(Catalog), gateway.get(Assets)
    suites = Suites(assets, gateway.get(Blobs))
    gateway.register(Suites, suites)
    gateway.register(Jobs, Jobs(catalog, SystemClock()))
    gateway.register(Evaluations, Evaluations(catalog, gateway.get(Columns), gateway.get(Writer), assets, suites))
    gates = Gates(catalog, assets)
    gateway.register(Gates, gates)
    gateway.register(GatePolicy, gates)
    TARGETS.add("prompt", PROMPTS)
    TARGETS.add("candidate", CANDIDATES)
    found = Optimisations(catalog, assets, suites)
    gateway.register(Optimisations, found)
    return found


def examples(count: int) -> list[Example]:
    """Return examples that ask for a number and expect its word, two of a cluster; nobody has answered their like before."""
    salt = new_id()
    return [
        Example(
            id=f"q{i}",
            input={"question": f"What is number {i}?", "topic": f"numbers {salt}"},
            expected={"answer": f"word{i}"},
            cluster=f"page{i // 2}",
            slice="odd" if i % 4 > 1 else "even",
        )
        for i in range(count)
    ]


async def store(
    ctx: Context, rows: Sequence[Example], text: str = FILE, scorers: Sequence[str | ScorerSetting] = ("exact_match",)
) -> Version:
    """Store a suite and a prompt; return the prompt's version."""
    await ctx.get(Suites).create(ctx, CreateSuite(name="help/questions", examples=list(rows), scorers=list(scorers)))
    await sync_files(ctx, [PromptFile(path="help/answer.md", text=text)])
    return await ctx.get(Assets).resolve(ctx, Ref.parse(PROMPT))


async def optimised(ctx: Context, ref: str = PROMPT, **options: Any) -> Optimisation:
    """Carry an optimisation out, here and now."""
    found = ctx.get(Optimisations)
    options = {"suite": SUITE, "max_cost": "1", "rounds": 4, "concurrency": 8} | options
    begun = await found.start(ctx, Ref.parse(ref), msgspec.convert(options, OptimisePrompt))
    return await found.run(ctx, begun.id)
