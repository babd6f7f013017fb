"""What scorers ask of models goes through the gateway: answered, priced and traced, and what fails is told."""

import pytest

from gimbal.axis.traces.service import Traces
from gimbal.generative.gateway.asking import embedded, said
from gimbal.generative.gateway.provider import Refusal
from gimbal.kernel.errors import BadInput, GimbalError


async def test_a_question_is_answered_and_traced(ctx, upstream):
    found = await said(ctx, "openai/gpt-4o-mini", [{"role": "user", "content": "Is it so?"}], {"temperature": 0.0})

    assert found.text == "Gimbal keeps both rings level."
    assert found.cost is not None
    assert found.cost > 0
    (span,) = (await ctx.get(Traces).get(ctx, found.trace_id)).spans
    assert span.feature == "scoring"
    assert upstream.received[-1]["temperature"] == 0.0
    upstream.faults = [400]
    with pytest.raises(Refusal):
        await said(ctx, "up/tiny", [{"role": "user", "content": "?"}], {})


async def test_texts_become_vectors_of_length_one(ctx, upstream):
    found = await embedded(ctx, "up/vec", ["a", "b"])

    assert found.vectors == [[0.6, 0.8], [1.0, 0.0]]
    assert found.cost is None, "up/vec has no price"
    assert (await embedded(ctx, "openai/text-embedding-3-small", ["a", "b"])).cost > 0


async def test_what_makes_no_vectors_says_so(ctx, upstream):
    with pytest.raises(BadInput, match="no embeddings"):
        await embedded(ctx, "local/extractive", ["a"])
    upstream.faults = ["garbage"]
    with pytest.raises(GimbalError):
        await embedded(ctx, "up/vec", ["a"])
