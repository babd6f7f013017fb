"""What a function takes and gives: the example's input as its arguments, and what it returned as an answer.

What it returned is not mended: what no answer can carry (an object of a library, NaN, a number as text) is an error of
that example, which is missing then and not wrong.
"""

import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, cast

import msgspec

from gimbal.axis.evals.answers import RecordedAnswer, check_answer
from gimbal.axis.evals.model import Example
from gimbal.axis.evals.target import TargetOutput
from gimbal.faces.client.wire import text
from gimbal.kernel.errors import BadInput

FIELDS = frozenset(TargetOutput.__struct_fields__) - {"retry_after_s"}
"""A dict that has none but these says field by field what the answer is; another one is its value."""
_LONGEST_ERROR = 2_000
_DEPTH = 100
_LEAST, _MOST = -(2**63), 2**64 - 1
_ROOMY = 32 * 2**20
"""Bytes of one answer."""
_encoder = msgspec.json.Encoder(decimal_format="string")


class Arguments:
    """How a function is called: by keywords where its parameters name what the input has, else with the input as it is."""

    def __init__(self, function: Callable[..., Any]) -> None:
        try:
            self._signature: inspect.Signature | None = inspect.signature(function)
        except (TypeError, ValueError):
            self._signature = None

    def of(self, given: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return what to call it with."""
        if self._signature is None:
            return (dict(given),), {}
        listed = self._signature.parameters.values()
        named = [p for p in listed if p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY}]
        rest = any(p.kind is p.VAR_KEYWORD for p in listed)
        unnamed = any(p.kind is p.POSITIONAL_ONLY and p.default is p.empty for p in listed)
        whole = not unnamed and all(p.name in given for p in named if p.default is p.empty)
        some = rest or not listed or any(p.name in given for p in named)
        if whole and some:
            names = {p.name for p in named}
            return (), {name: value for name, value in given.items() if rest or name in names}
        return (dict(given),), {}

    def check(self, examples: Sequence[Example]) -> None:
        """Raise BadInput where not one example can be given to the function."""
        if self._signature is None or any(self._fits(one.input) for one in examples):
            return
        names = ", ".join(sorted({name for one in examples for name in one.input})[:10])
        raise BadInput(
            f"The function takes {self._signature}, and the suite's inputs have: {names or 'nothing'}.",
            where="subject",
            kept="nothing was asked",
            todo="Let it take these by name, or the whole input as its only argument.",
        )

    def _fits(self, given: Mapping[str, Any]) -> bool:
        args, kwargs = self.of(given)
        assert self._signature is not None, "asked only where there is one"
        try:
            self._signature.bind(*args, **kwargs)
        except TypeError:
            return False
        return True


def answer_of(returned: Any, example: Example, repeat: int, *, latency_ms: float, trace_id: str) -> RecordedAnswer:
    """Return what a function returned as an answer; what cannot be one is an error of the answer."""
    around = {"example_id": example.id, "repeat": repeat}
    measured = {"latency_ms": latency_ms, "trace_id": trace_id}
    try:
        said = {name: value for name, value in _fields(returned).items() if value is not None}
        found = msgspec.convert(measured | said | around, RecordedAnswer)
        check_answer(found, "the answer")
        size = len(_encoder.encode(found))
    except msgspec.ValidationError as problem:
        told = f"The function returned what is no answer: {problem}"
    except BadInput as problem:
        told = f"The function returned what is no answer: {problem.message}"
    except RecursionError:
        told = "The function returned what is nested too deeply, or holds itself."
    except Exception as problem:  # noqa: BLE001 - what a library's object does when it is looked at is its own
        told = f"What the function returned cannot be read: {type(problem).__name__}: {problem}"
    else:
        if size <= _ROOMY:
            return found
        told = f"The function returned {size / 2**20:,.0f} MiB; {_ROOMY // 2**20} are the most."
    return failed(told, example, repeat, latency_ms=latency_ms, trace_id=trace_id)


def failed(
    told: str, example: Example, repeat: int, *, latency_ms: float | None, trace_id: str, timed_out: bool = False
) -> RecordedAnswer:
    """Return the answer that there is none."""
    return RecordedAnswer(
        example_id=example.id,
        repeat=repeat,
        error=text(told)[:_LONGEST_ERROR] or "error",
        failure="timed_out" if timed_out else "error",
        latency_ms=latency_ms,
        trace_id=trace_id,
    )


def _fields(returned: Any) -> dict[str, Any]:
    if isinstance(returned, TargetOutput):
        said = {name: getattr(returned, name) for name in FIELDS}
        return {name: _plain(value, _DEPTH, name) for name, value in said.items()}
    if returned is None:
        return {}
    if isinstance(returned, str):
        return {"text": text(returned)}
    if isinstance(returned, Mapping) and returned and cast("Mapping[Any, Any]", returned).keys() <= FIELDS:
        said = cast("Mapping[str, Any]", returned)
        return {name: _plain(value, _DEPTH, name) for name, value in said.items()}
    return {"value": _plain(returned, _DEPTH, "value")}


def _plain(value: Any, depth: int, where: str) -> Any:
    """Return a value as JSON has it; raise BadInput for what JSON does not have."""
    if depth == 0:
        raise RecursionError
    if isinstance(value, Decimal) and where == "cost":
        return value
    if isinstance(value, float | Decimal):
        number = float(value)
        if not math.isfinite(number):
            raise BadInput(f"{where} is {value}, which is no number.")
        return number
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        if not _LEAST <= value <= _MOST:
            raise BadInput(f"{where} is an integer of more than 64 bits.")
        return int(value)
    if isinstance(value, str):
        return _word(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Mapping):
        pairs = cast("Mapping[Any, Any]", value).items()
        return {_word(key): _plain(item, depth - 1, f"{where}.{_word(key)[:50]}") for key, item in pairs}
    if isinstance(value, list | tuple | AbstractSet):
        return [_plain(item, depth - 1, f"{where}[…]") for item in cast("list[Any]", value)]
    return _plain(_opened(value, where), depth - 1, where)


def _word(value: object) -> str:
    """Return a value as text; the members of an enumeration that are texts are those, and not their names in it."""
    return text(str.__str__(value) if isinstance(value, str) else str(value))


def _opened(value: Any, where: str) -> Any:
    """Return what an object of a library says that it is; raise BadInput where it does not."""
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    # Pydantic's models; scalars and arrays of NumPy, pandas and torch.
    for name in ("model_dump", "tolist"):
        opens: Any = getattr(value, name, None)
        if callable(opens) and not isinstance(value, type):
            return opens()
    raise BadInput(f"{where} is {type(value).__name__}, which JSON does not have.")
