"""Source hit: 1 when one of the sources that the output rests on is one that was expected, else 0."""

from collections.abc import Mapping
from typing import Any

from gimbal.axis.scores.builtin.texts import listed, missing
from gimbal.axis.scores.card import ScorerCard, ScoreType
from gimbal.axis.scores.model import Missing, ScoreValue
from gimbal.axis.scores.scorer import scorer


@scorer(
    ScorerCard(
        name="source_hit",
        title="Source hit",
        type=ScoreType.BINARY,
        expects=("sources", "source"),
        reads=("sources",),
        description="1 when one of the sources that the output rests on is one that was expected; a part behind `#` does "
        "not count.",
        limits="Says nothing of how many sources were right, of their order, or of whether the answer used them.",
        source="Hit rate of information retrieval, as success@k over all sources (Manning et al. 2008, chapter 8)",
    )
)
def source_hit(expected: Mapping[str, Any], output: Mapping[str, Any]) -> ScoreValue:
    """Compare `output.sources` with `expected.sources` or `expected.source`; a part behind `#` is ignored."""
    wanted = {name for name in map(_page, listed(expected, "sources", "source")) if name}
    if not wanted:
        return missing(Missing.NO_EXPECTATION)
    found: Any = output.get("sources")
    if not isinstance(found, list):
        return missing(Missing.NO_OUTPUT)
    hit = next((page for page in map(_page, found) if page in wanted), None)
    return ScoreValue(value=float(hit is not None), explanation=f"found {hit}" if hit else f"wanted {min(wanted)}")


def _page(source: Any) -> str:
    return str(source).partition("#")[0]
