"""Source hit: 1 when one of the sources that the output rests on is one that was expected, else 0."""

from collections.abc import Mapping
from typing import Any

from gimbal.axis.scores.builtin.texts import listed
from gimbal.axis.scores.model import SCORERS, ScoreValue


def source_hit(expected: Mapping[str, Any], output: Mapping[str, Any]) -> ScoreValue:
    """Compare `output.sources` with `expected.sources` or `expected.source`; a part behind `#` is ignored."""
    wanted = {name for name in map(_page, listed(expected, "sources", "source")) if name}
    if not wanted:
        return ScoreValue(value=None, missing="no_expectation")
    found: Any = output.get("sources")
    if not isinstance(found, list):
        return ScoreValue(value=None, missing="no_output")
    hit = next((page for page in map(_page, found) if page in wanted), None)
    return ScoreValue(value=float(hit is not None), explanation=f"found {hit}" if hit else f"wanted {min(wanted)}")


def _page(source: Any) -> str:
    return str(source).partition("#")[0]


SCORERS.add("source_hit", source_hit)
