"""Where something stands in a JSON answer: `$.choices[0].message.content`.

The part of JSONPath (RFC 9535) that names one place, or with `[*]` one of each: names, indexes from either end, wildcards.
"""

import re
from typing import Any, cast

from gimbal.kernel.errors import BadInput

Step = str | int | None
"""A name, an index, or None for all elements."""
MOST_STEPS = 64
_STEP = re.compile(
    r"""\.?(?P<name>[^\s.\[\]'"$*]+)|\[(?P<index>-?\d{1,9})\]|\[(?P<all>\*)\]|\['(?P<single>[^']*)'\]|\["(?P<double>[^"]*)"\]"""
)


class Nothing:
    """Stands for what is not there; null is there."""


NOTHING = Nothing()


def steps_of(path: str, where: str = "") -> list[Step]:
    """Return the steps of a path; raise BadInput, which names its place, for what is none."""
    text = path.strip()
    rest = text.removeprefix("$")
    steps: list[Step] = []
    place = 0
    while place < len(rest):
        match = _STEP.match(rest, place)
        # A name follows a dot, but for the first one where there is no `$`.
        bare = match is not None and match["name"] is not None and not match[0].startswith(".")
        if match is None or len(steps) >= MOST_STEPS or (bare and (place or text.startswith("$"))):
            raise BadInput(
                f"{path[:200]!r} is no path.",
                where=where,
                todo="Write it like $.choices[0].message.content or $.documents[*].id.",
            )
        steps.append(_step(match))
        place = match.end()
    return steps


def _step(match: re.Match[str]) -> Step:
    if match["index"] is not None:
        return int(match["index"])
    if match["all"] is not None:
        return None
    return next(text for text in (match["name"], match["single"], match["double"]) if text is not None)


def found_at(value: Any, steps: list[Step]) -> Any:
    """Return what stands at a path, NOTHING where there is nothing; after `[*]` a list of what each element has there."""
    for place, step in enumerate(steps):
        if step is None:
            if not isinstance(value, list):
                return NOTHING
            rest = steps[place + 1 :]
            return [one for each in cast("list[Any]", value) if (one := found_at(each, rest)) is not NOTHING]
        if isinstance(step, int):
            rows = cast("list[Any]", value)
            if not isinstance(value, list) or not -len(rows) <= step < len(rows):
                return NOTHING
            value = rows[step]
        elif isinstance(value, dict) and step in value:
            value = cast("dict[str, Any]", value)[step]
        else:
            return NOTHING
    return value
