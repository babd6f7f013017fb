"""Candidates are answered as prompts are: an evaluation of the version that one becomes takes over its answers."""

import msgspec
import pytest
from tests.generative.gateway.optimising.conftest import PROMPT

from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.model import Example
from gimbal.generative.gateway.optimising.model import OptimisePrompt
from gimbal.generative.gateway.optimising.target import CANDIDATES
from gimbal.generative.gateway.target import PROMPTS
from gimbal.generative.prompts.model import PromptFile
from gimbal.generative.prompts.service import sync_files
from gimbal.kernel.refs import Ref

TOOLS = """+++
model = "openai/gpt-4o-mini"

[[tools]]
name = "look"
description = "Look it up."
[tools.parameters]
type = "object"
+++

## user
{{question}}
"""
TURNS = [{"role": "assistant", "content": "Which?"}, {"role": "user", "content": "All."}]


@pytest.mark.parametrize("calls", [False, True])
@pytest.mark.parametrize("said", ["xs[0] it is", "So it is [1]."])
async def test_a_candidate_is_answered_as_the_prompt_that_it_may_become(optimisations, ctx, upstream, calls, said):
    """The same is sent, conversations included, and the same is told of it: tools that are called, and the text."""
    await sync_files(ctx, [PromptFile(path="help/answer.md", text=TOOLS)])
    version = await ctx.get(Assets).resolve(ctx, Ref.parse(PROMPT))
    upstream.rule, upstream.tools = (lambda _: said), calls
    example = Example(id="1", input={"question": "What is it?", "turns": TURNS})

    as_prompt = await PROMPTS(ctx, version, example)
    as_candidate = await CANDIDATES(ctx, msgspec.structs.replace(version, kind="candidate"), example)

    assert upstream.received[0]["messages"][1:] == TURNS
    assert upstream.received[0]["messages"] == upstream.received[1]["messages"]
    assert as_prompt.tool_calls is not None
    told = [msgspec.structs.replace(one, trace_id="", latency_ms=None) for one in (as_prompt, as_candidate)]
    assert told[0] == told[1]


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"seed": 2**60}, {"marks": [{"scorer": "x", "weight": 1e308}]}])
def test_a_request_that_could_only_fail_later_is_refused(wrong):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"suite": "suite:x"} | wrong, OptimisePrompt)
