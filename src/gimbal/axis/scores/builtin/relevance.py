"""Answer relevance: whether an answer is about what was asked, by words or by vectors of an embedder."""

from collections.abc import Mapping
from typing import Any

from gimbal.axis.scores.builtin.embedding_similarity import cosines
from gimbal.axis.scores.builtin.evidence import MOST_TEXT, content_words
from gimbal.axis.scores.builtin.texts import missing, output_text, too_long
from gimbal.axis.scores.card import ScorerCard
from gimbal.axis.scores.model import Missing, ScoreValue
from gimbal.axis.scores.scorer import scorer
from gimbal.kernel.context import Context

_ASKING = frozenset(
    {"ask", "tell", "explain", "describ", "show", "give", "list", "name", "find", "know", "want", "need"}
)
_LIMITS = (
    "It cannot tell a right answer from a wrong one, nor a full from a partial one; an answer that repeats the question "
    "scores high, a short and fitting one low. Compare versions by it, not with a bar."
)


def question_of(output: Mapping[str, Any]) -> str:
    """Return what was asked: the input's `question`, else all its texts; empty where it has none."""
    given = output.get("input")
    if not isinstance(given, dict):
        return ""
    asked = given.get("question")
    if isinstance(asked, str):
        return asked
    return "\n".join(value for value in given.values() if isinstance(value, str))


def _sides(output: Mapping[str, Any]) -> tuple[str, str] | ScoreValue:
    text, question = output_text(output), question_of(output)
    if text is None or not question.strip():
        return missing(Missing.NO_OUTPUT, "" if text is None else "the input has no question")
    return too_long([text, question], MOST_TEXT) or (question, text)


@scorer(
    ScorerCard(
        name="answer_relevance",
        title="Answer relevance",
        reads=("text", "input"),
        description="Share of the question's content words that the answer takes up.",
        limits=_LIMITS + " Other words for the same thing are not known, and stems are English.",
        source="Recall of question terms, as in query coverage (Manning, Raghavan and Schütze 2008, 6.2)",
    )
)
def answer_relevance(expected: Mapping[str, Any], output: Mapping[str, Any]) -> ScoreValue:
    """Compare the words of question and answer."""
    sides = _sides(output)
    if isinstance(sides, ScoreValue):
        return sides
    asked = content_words(sides[0]) - _ASKING
    if not asked:
        return missing(Missing.NO_OUTPUT, "the question has no content words")
    left = sorted(asked - content_words(sides[1]))
    note = f"not taken up: {', '.join(left[:10])}"[:400] if left else ""
    return ScoreValue(value=1 - len(left) / len(asked), explanation=note)


@scorer(
    ScorerCard(
        name="answer_relevance_embedding",
        title="Answer relevance by embedding",
        low=-1.0,
        reads=("text", "input"),
        asks="embedder",
        description="Cosine of the vectors of question and answer: 1 is the same direction, 0 none in common.",
        limits=_LIMITS + " Values of two embedders do not compare; most never come near −1.",
        source="Cosine similarity; after the answer relevance of Ragas (Es et al., arXiv 2309.15217), without its generated questions",
    )
)
async def answer_relevance_embedding(
    ctx: Context, expected: Mapping[str, Any], output: Mapping[str, Any], *, embedder: str = ""
) -> ScoreValue:
    """Compare the vectors of question and answer."""
    sides = _sides(output)
    if isinstance(sides, ScoreValue):
        return sides
    found = await cosines(ctx, embedder, sides[1], [sides[0]])
    return found if isinstance(found, ScoreValue) else ScoreValue(value=found[0])
