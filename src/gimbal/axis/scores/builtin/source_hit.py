"""Source hit: 1 when one of the sources that the output rests on is one that was expected, else 0."""

from collections.abc import Mapping
from typing import Any

from gimbal.axis.scores.model import SCORERS, ScoreValue


def source_hit(expected: Mapping[str, Any], output: Mapping[str, Any]) -> ScoreValue:
    """Compare `output.sources` with `expected.source` or `expected.sources`; a part behind `#` is ignored."""
    wanted: Any = expected.get("sources", expected.get("source"))
    if not wanted:
        return ScoreValue(value=None, missing="no_expectation")
    found = output.get("sources")
    if found is None:
        return ScoreValue(value=None, missing="no_output")
    names = {str(w).partition("#")[0] for w in (wanted if isinstance(wanted, list) else [wanted])}
    given = [str(source).partition("#")[0] for source in found]
    hit = next((source for source in given if source in names), None)
    return ScoreValue(value=float(hit is not None), explanation=f"found {hit}" if hit else f"wanted {min(names)}")


SCORERS.add("source_hit", source_hit)
