"""Answers of HTTP services as what scorers read; what is not there is missing with a reason, never empty or 0."""

from decimal import Decimal, InvalidOperation
from typing import Any, cast

import msgspec

from gimbal.axis.evals.http.filling import as_text
from gimbal.axis.evals.http.model import HttpAnswer
from gimbal.axis.evals.http.paths import NOTHING, found_at, steps_of
from gimbal.axis.evals.target import TargetOutput
from gimbal.kernel.errors import Upstream

_MOST_TOKENS = 2**62
_MOST_DOLLARS = 1_000_000
"""Of one answer; more is a mistake, and the columns have no room for it."""


def output_of(answer: HttpAnswer, body: bytes) -> TargetOutput:
    """Return what an answer says by the paths of its service; raise Upstream where it does not say what they promise."""
    if not any(getattr(answer, name) for name in HttpAnswer.__struct_fields__):
        return TargetOutput(text=_decoded(body))
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        why = "it is nested too deeply" if isinstance(problem, RecursionError) else str(problem)
        raise Upstream(f"The answer is no JSON: {why}.", where="answer") from None
    said = _Said(answer, value)
    text, predicted = said.of("text"), said.of("value")
    named = [f"{name} ({getattr(answer, name)})" for name in ("text", "value") if getattr(answer, name)]
    if named and text is None and predicted is None:
        raise Upstream(f"The answer has nothing at {' and '.join(named)}.", where="answer")
    if not named:
        text = _decoded(body)
    return TargetOutput(
        text=None if text is None else as_text(text),
        value=predicted,
        sources=said.texts("sources"),
        contexts=said.texts("contexts"),
        tool_calls=said.calls("tool_calls"),
        cost=said.dollars("cost"),
        input_tokens=said.count("input_tokens"),
        output_tokens=said.count("output_tokens"),
    )


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise Upstream(f"The answer is not UTF-8: {problem.reason}.", where="answer") from None


class _Said:
    """What one answer has at the paths of a service."""

    def __init__(self, answer: HttpAnswer, value: Any) -> None:
        self._answer = answer
        self._value = value

    def of(self, name: str) -> Any:
        """Return what stands at a path; None where there is no path, or nothing or null there."""
        path: str = getattr(self._answer, name)
        found = found_at(self._value, steps_of(path)) if path else NOTHING
        return None if found is NOTHING else found

    def texts(self, name: str) -> list[str] | None:
        """Return a text or a list as texts."""
        found = self.of(name)
        if found is None:
            return None
        if isinstance(found, str):
            return [found]
        if isinstance(found, list):
            return [as_text(one) for one in cast("list[Any]", found)]
        raise self._wrong(name, "no list")

    def calls(self, name: str) -> list[dict[str, Any]] | None:
        """Return calls of tools as names with arguments."""
        found = self.of(name)
        if found is None:
            return None
        if not isinstance(found, list):
            raise self._wrong(name, "no list")
        calls: list[dict[str, Any]] = []
        for one in cast("list[Any]", found):
            inner: Any = one.get("function", one) if isinstance(one, dict) else one
            if not isinstance(inner, dict) or not isinstance(cast("dict[str, Any]", inner).get("name"), str):
                raise self._wrong(name, "no list of calls with a name")
            call = cast("dict[str, Any]", inner)
            calls.append({"name": call["name"], "arguments": _arguments(call.get("arguments"))})
        return calls

    def dollars(self, name: str) -> Decimal | None:
        """Return an amount of dollars."""
        found = self.of(name)
        if found is None:
            return None
        try:
            amount = Decimal(str(found)) if isinstance(found, int | float | str) else None
        except InvalidOperation:
            amount = None
        if amount is None or not amount.is_finite() or not 0 <= amount <= _MOST_DOLLARS:
            raise self._wrong(name, f"no amount from 0 to {_MOST_DOLLARS}")
        return amount

    def count(self, name: str) -> int | None:
        """Return a whole number from 0."""
        found = self.of(name)
        if found is None:
            return None
        if type(found) is not int or not 0 <= found <= _MOST_TOKENS:
            raise self._wrong(name, "no count")
        return found

    def _wrong(self, name: str, what: str) -> Upstream:
        return Upstream(f"What the answer has at {name} ({getattr(self._answer, name)}) is {what}.", where="answer")


def _arguments(found: Any) -> Any:
    """Return arguments; a text is read as JSON, as OpenAI's wire has them, where it is that."""
    if not isinstance(found, str):
        return found
    try:
        return msgspec.json.decode(found)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return found
