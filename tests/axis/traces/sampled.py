"""A project with a sampling policy, and traffic whose truth is known."""

import math
import random
from collections.abc import Sequence
from decimal import Decimal

import msgspec
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from tests.axis.traces import wire

from gimbal.axis.traces.ingest import ingest
from gimbal.axis.traces.model import Activity
from gimbal.axis.traces.sampling import SetSampling
from gimbal.axis.traces.service import Traces
from gimbal.kernel.clock import from_us
from gimbal.kernel.context import Context

SINCE = from_us(wire.START - 3_600_000_000)
ERROR = Status(code=Status.STATUS_CODE_ERROR)
# By the price book, for a thousand tokens in and a hundred out of gpt-4o.
PRICE = Decimal("0.0035")
SLOW_MS, COSTLY_USD = 3_000, Decimal("0.02")


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """One trace as it was, kept or not."""

    id: str
    ms: int
    error: bool
    calls: int

    @property
    def cost(self) -> Decimal:
        """Dollars of its calls."""
        return PRICE * self.calls

    @property
    def stays(self) -> bool:
        """Whether a tail with `SLOW_MS` and `COSTLY_USD` keeps it for what it is."""
        return self.error or self.ms >= SLOW_MS or self.cost >= COSTLY_USD

    def spans(self) -> list[WireSpan]:
        """Return its root and calls as they come over the wire."""
        failed = {"status": ERROR} if self.error else {}
        root = wire.span(self.id, 1, ms=self.ms, **failed)
        return [root, *(wire.chat(self.id, 2 + i, 1, ms=self.ms / 10) for i in range(self.calls))]


def traffic(count: int, seed: int) -> list[Happened]:
    """Return traces with random ids: 3 % fail, some 4 % are slow, 2 % costly, and cost goes with duration."""
    draw = random.Random(seed)
    found: list[Happened] = []
    for _ in range(count):
        ms = max(1, round(math.exp(draw.gauss(6, 1.15))))
        calls = 6 if draw.random() < 0.02 else 1 + (ms > 400)
        found.append(Happened(id=f"{draw.getrandbits(128):032x}", ms=ms, error=draw.random() < 0.03, calls=calls))
    return found


async def send(ctx: Context, happened: Sequence[Happened], *, seed: int = 1, batch: int = 500) -> None:
    """Send all spans in any order, so that most traces come in several requests."""
    spans = [span for one in happened for span in one.spans()]
    random.Random(seed).shuffle(spans)
    for first in range(0, len(spans), batch):
        assert await ingest(ctx, wire.request(*spans[first : first + batch])) == []


async def activity(ctx: Context) -> Activity:
    return await ctx.get(Traces).activity(ctx, SINCE)


def share(one: Happened, policy: SetSampling) -> float:
    """Return with which chance a policy keeps a trace."""
    return policy.head_rate if policy.tail_rate is None or one.stays else policy.tail_rate


def check_unbiased(found: Activity, happened: Sequence[Happened], policy: SetSampling, *, amid: bool = False) -> None:
    """Assert that estimates lie within four standard errors of the truth, and that the errors told are about right.

    Amid the decisions estimates are better than at their end. The variance of a sum of y/p over what is kept, each by itself with its chance p, is the sum of y²(1 - p)/p over all.
    """
    for name, values in {
        "traces": [1.0 for _ in happened],
        "errors": [float(one.error) for one in happened],
        "calls": [float(one.calls) for one in happened],
        "cost": [float(one.cost) for one in happened],
    }.items():
        chances = [share(one, policy) for one in happened]
        error = math.sqrt(sum(y * y * (1 - p) / p for y, p in zip(values, chances, strict=True)))
        # Counts are told as whole numbers.
        slack = 4 * error + (0.001 if name == "cost" else 0.5)
        told = getattr(found, f"{name}_error", None)
        assert told is None or amid or float(told) == pytest.approx(error, rel=0.15), (name, told, error)
        assert abs(float(getattr(found, name)) - sum(values)) <= slack, (name, getattr(found, name), sum(values), error)


def check_weighted(found: Activity, kept: Sequence[Happened], policy: SetSampling) -> None:
    """Assert that each trace that was kept counts for one over its chance, and none for anything else."""
    for name, values in {
        "traces": [1.0 for _ in kept],
        "errors": [float(one.error) for one in kept],
        "calls": [float(one.calls) for one in kept],
        "cost": [float(one.cost) for one in kept],
    }.items():
        told = sum(value / share(one, policy) for one, value in zip(kept, values, strict=True))
        # Counts are told as whole numbers.
        assert float(getattr(found, name)) == pytest.approx(told, abs=1e-3 if name == "cost" else 0.51), name
