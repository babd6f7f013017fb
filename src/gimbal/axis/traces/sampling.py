"""Which traces a project keeps: the policy, and the rules by which every collector comes to the same answer.

Keeping is decided by 56 random bits of the trace: its id's last ones, or those that the sender wrote down. A trace is
kept when they reach a threshold, so that whoever keeps fewer keeps a part of what others keep. What is kept stands for
`weight` of its kind. Source: OpenTelemetry, "TraceState: Probability Sampling" (`ot=th:…;rv:…`).
"""

import re
from datetime import datetime
from decimal import Decimal

import msgspec

from gimbal.kernel.errors import BadInput

RANGE = 1 << 56
SAMPLED = "gimbal_ingest_spans_sampled_total"
SAMPLED_HELP = "Spans left out by the project's sampling, by reason: head, tail, late (of a trace that had gone)."
_DIGITS = 14
_HEX = re.compile(r"[0-9a-f]{1,14}", re.ASCII)
# A smaller share than this is nothing that anyone means.
_LEAST_RATE = 1e-9
# What came in must be durable, on every server, before its moment is decided on.
_SHORTEST_WAIT_S, _LONGEST_WAIT_S = 10, 86_400


class SetSampling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which traces are kept."""

    head_rate: float = 1.0
    """Share of the traces that is taken in at all, by their ids: above 0, up to 1."""
    tail_rate: float | None = None
    """Share that is kept of the traces that ended well, fast and cheap; not above `head_rate`. Null keeps them all."""
    slow_ms: int | None = None
    """Traces at least so long are always kept, in milliseconds of their root; null means that none is too slow."""
    costly_usd: Decimal | None = None
    """Traces that cost at least so much are always kept; null means that none is too costly."""
    wait_s: int = 60
    """A trace is decided on when nothing came of it for so many seconds, 10 to 86,400."""

    @property
    def keeps_all(self) -> bool:
        """Whether nothing is left out."""
        return self.head_rate == 1 and self.tail_rate is None


class SamplingPolicy(SetSampling, frozen=True, kw_only=True):
    """Which traces a project keeps, and who said so."""

    updated_at: datetime | None = None
    """Null while nobody has said anything: then everything is kept."""
    updated_by: str = ""
    decided_until: datetime | None = None
    """What came in up to here has been decided on; null without a tail rate."""


KEEP_ALL = SamplingPolicy()


def check_sampling(asked: SetSampling) -> None:
    """Raise BadInput for a policy that cannot be meant."""
    _check_rate(asked.head_rate, "head_rate")
    if asked.tail_rate is not None:
        _check_rate(asked.tail_rate, "tail_rate")
        if asked.tail_rate > asked.head_rate:
            raise BadInput(
                f"A tail rate of {asked.tail_rate:g} is more than the head takes in: {asked.head_rate:g}.",
                where="tail_rate",
                todo="Both are shares of all traces: give a tail rate that is not above the head rate.",
            )
    elif asked.slow_ms is not None or asked.costly_usd is not None:
        raise BadInput(
            "Without a tail rate every trace is kept, slow and costly ones as well.",
            where="tail_rate",
            todo="Give the share of the other traces that is kept.",
        )
    if asked.slow_ms is not None and asked.slow_ms < 0:
        raise BadInput(f"{asked.slow_ms} is no duration.", where="slow_ms", todo="Give milliseconds, 0 or more.")
    if asked.costly_usd is not None and not (asked.costly_usd.is_finite() and asked.costly_usd >= 0):
        raise BadInput(f"{asked.costly_usd} is no cost.", where="costly_usd", todo="Give US dollars, 0 or more.")
    if not _SHORTEST_WAIT_S <= asked.wait_s <= _LONGEST_WAIT_S:
        raise BadInput(
            f"A wait of {asked.wait_s} seconds is not possible.",
            where="wait_s",
            todo=f"Give {_SHORTEST_WAIT_S} to {_LONGEST_WAIT_S}.",
        )


def _check_rate(rate: float, where: str) -> None:
    # Not the other way round: NaN is neither.
    if not _LEAST_RATE <= rate <= 1:
        raise BadInput(
            f"{rate:g} is not a share that can be kept.", where=where, todo="Give a number above 0, up to 1 for all."
        )


def threshold(rate: float) -> int:
    """Return the threshold of a share: traces whose randomness is below it are left out."""
    return min(round((1 - rate) * RANGE), RANGE - 1)


def weight(least: int) -> float:
    """Return for how many traces one stands that was kept under a threshold."""
    return RANGE / (RANGE - least)


def randomness(trace_id: str) -> int:
    """Return the 56 random bits of a trace id of 32 hex digits."""
    return int(trace_id[-_DIGITS:], 16)


def of_sender(trace_state: str) -> tuple[int, int | None]:
    """Return the threshold and the explicit randomness of a W3C trace state; 0 and None for what it does not say."""
    least, explicit = 0, None
    for member in trace_state.split(","):
        key, _, value = member.strip().partition("=")
        if key != "ot":
            continue
        for field in value.split(";"):
            name, _, digits = field.partition(":")
            if name == "th" and _HEX.fullmatch(digits):
                least = int(digits.ljust(_DIGITS, "0"), 16)
            elif name == "rv" and len(digits) == _DIGITS and _HEX.fullmatch(digits):
                explicit = int(digits, 16)
    return least, explicit


def kept(trace_id: str, trace_state: str, least: int) -> tuple[float, int | None] | None:
    """Return the weight of a span under a threshold of ours and its explicit randomness; None when it is left out.

    The sender's own threshold counts as well, unless its randomness belies it.
    """
    theirs, explicit = of_sender(trace_state) if trace_state else (0, None)
    drawn = randomness(trace_id) if explicit is None else explicit
    if drawn < least:
        return None
    return weight(max(least, theirs if drawn >= theirs else 0)), explicit
