"""Reads the JSON that an output is, or holds in a fence."""

from typing import Any

import msgspec

from gimbal.axis.scores.builtin.texts import fenced

LONGEST = 250_000
"""Characters of JSON that are read; checking more against a schema would take the evaluation's time for itself."""


def json_of(text: str) -> Any:
    """Return the JSON value that a text is, or that its first fence with JSON holds; raise ValueError with the reason.

    JSON as RFC 8259 has it: no comments, no NaN, nothing behind the value.
    """
    try:
        return _decoded(text)
    except ValueError as problem:
        reason = problem
    for inside in fenced(text, "json"):
        try:
            return _decoded(inside)
        except ValueError:
            continue
    raise reason


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text.encode())
    except UnicodeEncodeError:
        raise ValueError("it holds a lone surrogate, which is no character") from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except msgspec.DecodeError as problem:
        raise ValueError(str(problem)) from None
