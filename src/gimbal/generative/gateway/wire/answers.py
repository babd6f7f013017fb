"""What readers of answers share: the errors they raise, and usage that contradicts itself."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

import msgspec

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.conversation import Json, Piece
from gimbal.kernel.errors import ContradictoryUsage, Upstream

_STREAMED = "what was streamed before"
_MOST = 2000
_T = TypeVar("_T")


class BrokeOff(Upstream):
    """A stream that is no answer from here on."""

    code = "broke_off"

    pieces: Sequence[Piece] = ()
    """What came before it in the same bytes: the caller shall have it all the same."""


def each(read: Callable[[_T], Piece], found: Iterable[_T]) -> list[Piece]:
    """Return what is read of each; where one breaks off, its error carries the pieces before it."""
    pieces: list[Piece] = []
    try:
        for one in found:
            pieces.append(read(one))  # noqa: PERF401 - what was read before an error must not be lost
    except BrokeOff as problem:
        problem.pieces = pieces
        raise
    return pieces


def table(value: Any) -> Json:
    """Return an object that a provider sent; what is none counts as empty."""
    if type(value) is dict:  # nearly always
        found: Json = value
        return found
    return cast("Json", value) if isinstance(value, dict) else {}


def rows(value: Any) -> list[Any]:
    """Return an array that a provider sent; what is none counts as empty."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def text(value: Any) -> str:
    """Return a string that a provider sent; what is none counts as empty."""
    return value if isinstance(value, str) else ""


def count(value: Any) -> int:
    """Return a count that a provider sent; what is not a number from 0 up counts as absent, hence 0."""
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e15 else 0


def words_of(error: Any) -> str:
    """Return what a provider says of an error, whether an object with a message or a text."""
    said = table(error).get("message") if isinstance(error, dict) else error
    return str(said)[:_MOST] if said else "no reason was given"


def garbage(provider: str, raw: bytes, *, streamed: bool = False) -> BrokeOff:
    """Return the error for something that is no answer of this wire."""
    return BrokeOff(
        f"{provider} sent something that is not an answer: {raw[:120].decode('utf-8', 'replace')!r}.",
        kept=_STREAMED if streamed else "",
        todo="Check that base_url names an API of this kind, version part included.",
    )


def failed(provider: str, error: Any, *, streamed: bool) -> Upstream:
    """Return the error for one that came within a 200."""
    if not streamed:
        return Upstream(f"{provider} answered with an error: {words_of(error)}")
    return BrokeOff(f"{provider} broke off with an error: {words_of(error)}", kept=_STREAMED)


def cut_short(provider: str, pieces: Sequence[Piece] = ()) -> BrokeOff:
    """Return the error for a stream that ended before its answer did; `pieces` came with its end."""
    problem = BrokeOff(f"{provider} ended the stream in the middle of the answer.", kept=_STREAMED, todo="Try again.")
    problem.pieces = pieces
    return problem


def decode_table(provider: str, raw: bytes, *, streamed: bool = False) -> Json:
    """Decode an object that a provider sent; raise Upstream when it is not one."""
    try:
        value = msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise garbage(provider, raw, streamed=streamed)
    return cast("Json", value)


def usage_by(
    read: Callable[..., Usage | None], as_far: Callable[[Json], Usage], usage: Any, **more: Any
) -> Usage | None:
    """Return a provider's usage; a contradiction in it leaves the call without a cost, not without an answer."""
    try:
        return read(usage, **more)
    except ContradictoryUsage:
        return msgspec.structs.replace(as_far(table(usage)), contradictory=True)


def arguments(said: str) -> Json | None:
    """Return the arguments of a tool call as an object; None where the model wrote something else."""
    try:
        value = msgspec.json.decode(said or "{}")
    except (ValueError, RecursionError):
        return None
    return cast("Json", value) if isinstance(value, dict) else None


def vectors_of(provider: str, raw: bytes, given: Sequence[Any], count: int) -> Sequence[Sequence[float]]:
    """Return the vectors of an answer; raise Upstream where they are not `count` arrays of numbers."""
    try:
        vectors = msgspec.convert(given, list[list[float]])
    except msgspec.ValidationError:
        raise garbage(provider, raw) from None
    if len(vectors) != count:
        raise Upstream(f"{provider} sent {len(vectors)} vectors for {count} inputs.", todo="Try again.")
    return vectors
