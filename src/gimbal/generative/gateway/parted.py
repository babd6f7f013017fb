"""What requests for parts of one caller's vectors have used so far: it is billed also where a later one fails."""

from collections.abc import Sequence

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.provider import Choice
from gimbal.generative.knowledge.analysis import count_tokens


class Parted:
    """One attempt at vectors; it is known before its first request, since whoever overtakes it does not wait for its end."""

    def __init__(self, choice: Choice, started_us: int) -> None:
        self.choice = choice
        self.started_us = started_us
        self.ended_us: int | None = None
        """None while its requests may still be under way."""
        self.parts = 0
        """Requests that were answered."""
        self.estimated = False
        """Whether one of them did not tell what it used."""
        self._tokens = 0
        self._contradictory = False

    def take(self, inputs: Sequence[str | tuple[int, ...]], usage: Usage | None) -> None:
        """Count one answer; what it does not tell is estimated from what went in."""
        self.parts += 1
        if usage is None:
            self.estimated = True
            self._tokens += sum(count_tokens(one) if isinstance(one, str) else len(one) for one in inputs)
        else:
            self._tokens += usage.input_tokens
            self._contradictory |= usage.contradictory

    @property
    def usage(self) -> Usage:
        """What the answered requests have used together."""
        return Usage(input=self._tokens, contradictory=self._contradictory)
