"""How the examples of a suite came about, in words: what the page of a suite tells of `made` in its manifest.

Manifests come from anywhere: what is not as expected is left out, and never breaks the page.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

_SHOWN = 10
_LONGEST = 200
_REASONS = {
    "evaluation": "Gimbal's own calls: evaluations, judges, searches for prompts",
    "no_input": "nothing says what went in",
    "unreadable": "what went in cannot be read",
    "too_long": "too long to have been kept whole",
    "media": "has images, sounds or files",
    "redacted": "a text was taken out before it was stored",
    "present": "in the suite already",
    "duplicate": "the same as another one",
    "near_duplicate": "nearly the same as another one",
    "unparseable": "answers of the model that could not be read",
    "incomplete": "without question, answer or evidence",
    "unsupported": "the evidence does not stand in the passage",
    "superfluous": "more than was asked for",
}


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """One lot of examples, and how it was made."""

    title: str
    """For people: `32 examples from traces`."""
    facts: list[tuple[str, str]]
    """What is told of it: label and words."""
    left_out: list[tuple[str, int]]
    """What became no example: why, and how many, the most first."""


def origins_of(manifest: Mapping[str, Any]) -> tuple[list[Origin], int]:
    """Return how the last lots of examples were made, the newest first, and how many there are before them."""
    found: Any = manifest.get("made")
    rows = [_map(one) for one in cast("list[Any]", found) if isinstance(one, dict)] if isinstance(found, list) else []
    return [_origin(one) for one in reversed(rows[-_SHOWN:])], max(0, len(rows) - _SHOWN)


def _origin(made: Mapping[str, Any]) -> Origin:
    kind = made.get("from")
    match kind:
        case "traces":
            title, facts = "from traces", _of_traces(made)
        case "synthesis":
            title, facts = "written by a model", _of_synthesis(made)
        case _:
            title = f"from {_words(kind) or 'elsewhere'}"
            told = {"from", "examples", "dropped"}
            facts = [(name, _words(value)) for name, value in made.items() if name not in told]
    count = _count(made.get("examples"))
    title = f"{count or 'Some'} example{'' if count == '1' else 's'} {title}"
    counts = _counts(made.get("dropped"))
    left_out = [(_REASONS.get(reason, _plain(reason)), count) for reason, count in counts]
    return Origin(title=title, facts=[(_words(name), text) for name, text in facts if text], left_out=left_out)


def _of_traces(made: Mapping[str, Any]) -> list[tuple[str, str]]:
    asked = "; ".join(f"{_plain(name)} {_words(value)}" for name, value in _map(made.get("filter")).items())
    looked, share = _count(made.get("looked_at")), made.get("share")
    among = f"{looked} traces that fit" if looked else ""
    if among and isinstance(share, int | float) and 0 < share < 1:
        among += f", a random {share:.2%} of all that do"
    most, seed, by = _count(made.get("most")), _words(made.get("seed")), _words(made.get("by"))
    parts = f"{'the same number' if made.get('allot') == 'equal' else 'in proportion'} by {by}" if by else ""
    drawn = ", ".join(one for one in (most and f"at most {most}", parts, seed and f"seed {seed}") if one)
    replaced = ", ".join(f"{count:,} {_plain(kind)}" for kind, count in _counts(made.get("replaced")))
    return [
        ("Drawn from", among),
        ("Which traces", asked or "any"),
        ("How", drawn),
        ("Span", _words(made.get("span"))),
        ("Expected answers", _expected(made)),
        ("Slices", _words(made.get("slice"))),
        ("Personal data replaced", replaced),
        ("Personal data kept", _words(made.get("keep"))),
    ]


def _expected(made: Mapping[str, Any]) -> str:
    if made.get("answers"):
        recorded = "every recorded one"
    else:
        good = _words(made.get("good"))
        recorded = f"recorded ones with {good}" if good else ""
    named = _words(made.get("correction"))
    return ", ".join(one for one in (recorded, named and f"corrections by {named}") if one) or "none but corrections"


def _of_synthesis(made: Mapping[str, Any]) -> list[tuple[str, str]]:
    asked, passages = _count(made.get("asked")), _count(made.get("passages"))
    failed = ", ".join(f"{count:,} {_plain(code)}" for code, count in _counts(made.get("failed")))
    return [
        ("Model", _words(made.get("model"))),
        ("Passages", f"{asked} of {passages} answered" if asked and passages else passages),
        ("Source", _words(made.get("source"))),
        ("Calls that failed", failed),
    ]


def _map(value: Any) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _counts(value: Any) -> list[tuple[str, int]]:
    """Return counts by name, the largest first."""
    found = [(name, count) for name, count in _map(value).items() if type(count) is int and count > 0]
    return sorted(found, key=lambda one: (-one[1], one[0]))


def _count(value: Any) -> str:
    return f"{value:,}" if type(value) is int else ""


def _plain(name: str) -> str:
    return name.replace("_", " ")[:_LONGEST]


def _words(value: Any) -> str:
    """Return a value as it is read; empty for what says nothing."""
    if isinstance(value, list):
        rows: Sequence[Any] = cast("list[Any]", value)
        return ", ".join(filter(None, map(_words, rows[:_SHOWN])))[:_LONGEST]
    if value is None or isinstance(value, dict):
        return ""
    return str(value)[:_LONGEST]
