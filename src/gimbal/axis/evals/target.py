"""The protocol of what is evaluated: a ring has a Target for each of its kinds, `faces/server/wiring.py` binds it."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Literal, Protocol

import msgspec

from gimbal.axis.assets.model import Version
from gimbal.axis.evals.model import Example
from gimbal.axis.scores.asking import Priced
from gimbal.kernel.context import Context
from gimbal.kernel.plugins import Registry
from gimbal.kernel.refs import Ref


class TargetOutput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a target made of one example."""

    text: str | None = None
    """The answer; null when there is none."""
    marked: str | None = None
    """The answer with markers `[n]` that point to `contexts`, where `text` is without them."""
    value: Any = None
    """What was predicted, where it is no text: a number, a class, probabilities by class; null when there is none."""
    sources: list[str] | None = None
    """What it rests on, best first; null when the target does not say."""
    contexts: list[str] | None = None
    """Texts that were put before the model, best first; null when the target does not say."""
    tool_calls: list[dict[str, Any]] | None = None
    """Tools that were called, in order, as `{"name": …, "arguments": {…}}`; null when the target does not say."""
    steps: list[dict[str, Any]] | None = None
    """Messages of the whole conversation, as `{"role": …, "content": …}`; null when it had one answer only."""
    trace_id: str = ""
    """The trace of the call."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: Decimal | None = None
    """US dollars; null when unknown."""
    latency_ms: float | None = None
    error: str = ""
    """What went wrong; the example is then missing, not wrong."""
    failure: Literal["error", "refused", "timed_out"] = "error"
    """Of what kind, where `error` says something."""
    retry_after_s: float | None = None
    """Seconds after which the same call may be answered, where it was only too many or too early."""


class Foreseen(Priced, frozen=True, kw_only=True):
    """What a target knows before it is called."""

    identity: str = ""
    """Names all that an answer depends on besides the example; empty where that cannot be said, and nothing is cached."""


class Target(Protocol):
    """Calls one version with one example."""

    async def __call__(self, ctx: Context, version: Version, example: Example) -> TargetOutput:
        """Return the output; a failure of the call is `error` in it, not an exception."""
        ...

    async def foresee(self, ctx: Context, version: Version, examples: Sequence[Example]) -> Foreseen:
        """Tell what calls with such examples will cost, without making one."""
        ...


TARGETS: Registry[Target] = Registry("targets")


class Named(Protocol):
    """Knows what a name means now that is no asset's: an endpoint's, say."""

    async def __call__(self, ctx: Context, ref: Ref) -> Version:
        """Return the version that is called under this name; raise NotFound or BadInput where there is none."""
        ...


NAMED: Registry[Named] = Registry("named_targets")
