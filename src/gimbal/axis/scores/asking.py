"""What scorers may ask for beyond code: a model's answer, vectors of texts, a classifier's word.

The rings implement these, and `faces/server/wiring.py` binds them.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from gimbal.kernel.context import Context


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a model said."""

    text: str
    trace_id: str = ""
    cost: Decimal | None = None
    """US dollars; null when unknown."""


class Embedded(msgspec.Struct, frozen=True, kw_only=True):
    """Vectors of texts."""

    vectors: list[list[float]]
    """One per text, of length 1."""
    cost: Decimal | None = None
    """US dollars; null when unknown."""


class Priced(msgspec.Struct, frozen=True, kw_only=True):
    """What a call will cost, told before it is made."""

    cost: Decimal | None = None
    """US dollars of one call, about; null when unknown."""
    most: Decimal | None = None
    """US dollars of the dearest call that can be; null when unknown."""
    unpriced: str = ""
    """Why the cost is unknown."""


class Complete(Protocol):
    """One call of a model, through the gateway: priced, limited and traced like any other."""

    async def __call__(
        self, ctx: Context, model: str, messages: Sequence[Mapping[str, str]], params: Mapping[str, Any]
    ) -> Said:
        """Return the answer to messages of `role` and `content`; raise the GimbalError of what failed."""
        ...


class Foresee(Protocol):
    """Tells what calls of models and embedders will cost, without making one."""

    async def __call__(self, ctx: Context, model: str, given: Sequence[int], longest: int | None) -> Priced:
        """Return the cost of a call with so many bytes (of each) and so many tokens of an answer; None for any number.

        An embedder's answer has none.
        """
        ...


class Embed(Protocol):
    """Vectors of texts."""

    async def __call__(self, ctx: Context, embedder: str, texts: Sequence[str]) -> Embedded:
        """Return a vector per text; raise NotFound for an embedder that is not there."""
        ...


class Classify(Protocol):
    """Tells how likely a text belongs to a class."""

    async def __call__(self, ctx: Context, classifier: str, label: str, texts: Sequence[str]) -> list[float]:
        """Return the probability, from 0 to 1, of a class (of two the positive one, where `label` is empty) per text.

        Raise BadInput for a classifier that does not take one text, or has no such class, and the GimbalError of what failed.
        """
        ...
