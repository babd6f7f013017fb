"""Embedding similarity and relevance by embedding, with a stand-in that has a vector for each text."""

from collections.abc import Sequence
from typing import Any

import pytest

from gimbal.axis.scores.asking import Embed, Embedded
from gimbal.axis.scores.builtin.embedding_similarity import embedding_similarity
from gimbal.axis.scores.builtin.relevance import answer_relevance_embedding
from gimbal.kernel.context import NOBODY, Context, Services
from gimbal.kernel.errors import NotFound
from gimbal.testing.scorers import check_asking_scorer

VECTORS = {
    "east": [1.0, 0.0],
    "north": [0.0, 1.0],
    "west": [-1.0, 0.0],
    "north-east": [0.6, 0.8],
    "nowhere": [0.0, 0.0],
}


def with_vectors(vectors: dict[str, list[float]] = VECTORS) -> Context:
    async def embed(ctx: Context, embedder: str, texts: Sequence[str]) -> Embedded:
        if embedder == "absent":
            raise NotFound("There is no embedder 'absent'.")
        return Embedded(vectors=[vectors.get(text, [1.0, 1.0]) for text in texts])

    ctx = Context(Services(), NOBODY)
    ctx.services.register(Embed, embed)
    return ctx


@pytest.mark.parametrize(
    ("text", "accepted", "value"),
    [
        ("east", ["east"], 1.0),
        ("east", ["north"], 0.0),
        ("east", ["west"], -1.0),
        ("east", ["west", "north-east", "north"], 0.6),
        ("", ["\ud800"], 1.0),
    ],
)
async def test_it_is_the_cosine_with_the_nearest_accepted_answer(text: str, accepted: list[str], value: float) -> None:
    """Opposite is −1 and not 0: the card's range says so."""
    found = await embedding_similarity(with_vectors(), {"answers": accepted}, {"text": text})

    assert found.value == pytest.approx(value)
    assert embedding_similarity.card.low == -1.0


async def test_relevance_is_the_cosine_of_question_and_answer() -> None:
    ctx = with_vectors()
    output = {"text": "north-east", "input": {"question": "east", "other": "west"}}

    assert (await answer_relevance_embedding(ctx, {}, output)).value == pytest.approx(0.6)
    assert (await answer_relevance_embedding(ctx, {}, {"text": "north"})).missing == "no_output"
    assert (await answer_relevance_embedding(ctx, {}, {"input": {"question": "east"}})).missing == "no_output"


@pytest.mark.parametrize(
    ("expected", "output", "reason"),
    [
        ({}, {"text": "east"}, "no_expectation"),
        ({"answer": "east"}, {}, "no_output"),
        ({"answer": "nowhere"}, {"text": "east"}, "judge_failed"),
    ],
)
async def test_what_has_no_direction_or_no_text_is_missing(expected: Any, output: Any, reason: str) -> None:
    found = await embedding_similarity(with_vectors(), expected, output)

    assert (found.value, found.missing) == (None, reason)


async def test_an_embedder_that_is_not_there_fails_with_its_reason() -> None:
    pair: Any = ({"answer": "east"}, {"text": "east"})
    unbound = await embedding_similarity(Context(Services(), NOBODY), *pair)
    absent = await embedding_similarity(with_vectors(), *pair, embedder="absent")
    uneven = await embedding_similarity(with_vectors({"east": [1.0]}), {"answer": "south"}, {"text": "east"})

    assert {unbound.missing, absent.missing, uneven.missing} == {"judge_failed"}
    assert "Embed" in unbound.explanation
    assert "no embedder 'absent'" in absent.explanation


async def test_they_keep_the_promises_of_scorers() -> None:
    await check_asking_scorer(with_vectors(), embedding_similarity, {"answer": "east"}, {"text": "north-east"})
    output = {"text": "north-east", "input": {"question": "east"}}
    await check_asking_scorer(with_vectors(), answer_relevance_embedding, {}, output)
