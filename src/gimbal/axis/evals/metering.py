"""What judging an answer costs: calls of models and embedders that scorers make are counted, and end where the money does.

Scorers ask through their context, as ever; `metered` gives them one whose models are counted. `purse` says what may be spent,
`judging` what all of it will cost.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from gimbal.axis.scores.asking import Complete, Embed, Embedded, Foresee, Priced, Said
from gimbal.axis.scores.scorer import Applied
from gimbal.kernel.context import Context
from gimbal.kernel.errors import Conflict
from gimbal.kernel.money import ZERO

_LIMITS = ("max_completion_tokens", "max_tokens")
_PER_FIELD = 4
"""Tokens that a text takes beside its own, at most."""


class Tally(msgspec.Struct, kw_only=True):
    """What was asked to judge one answer."""

    calls: int = 0
    cost: Decimal = ZERO
    """US dollars of the calls whose price is known."""
    unpriced: int = 0
    """Calls whose price is not."""
    refused: int = 0
    """Calls that there was no money for: the answer is not judged then."""

    @property
    def known(self) -> Decimal | None:
        """The cost; None where no call has a price, or none was made."""
        return self.cost if self.calls > self.unpriced else None


class Pays(Protocol):
    """Money that judging one answer may take."""

    @property
    def capped(self) -> bool:
        """Whether there is an end to it."""
        ...

    async def hold(self, most: Decimal | None) -> bool:
        """Keep what one call may cost, None where nobody knows; False where there is no money for it."""
        ...

    def settle(self, most: Decimal | None, cost: Decimal | None) -> None:
        """Note what a call cost that so much was kept for; None where that is not known, or it failed."""
        ...


class _Meter:
    """Counts calls to judge one answer."""

    def __init__(self, tally: Tally, purse: Pays | None) -> None:
        self._tally = tally
        self._purse = purse

    async def asked(self, ctx: Context, model: str, given: int, longest: int | None, asking: Any) -> Any:
        """Ask, where there is money; raise Conflict where there is none, and whatever asking raises."""
        tally, purse = self._tally, self._purse
        most = await dearest(ctx, model, given, longest) if purse is not None and purse.capped else ZERO
        if purse is not None and not await purse.hold(most):
            tally.refused += 1
            raise Conflict("The cap of the evaluation is spent.", where="max_cost", todo="Go on with a higher one.")
        cost: Decimal | None = None
        try:
            said = await asking()
            cost = said.cost
        finally:
            if purse is not None:
                purse.settle(most, cost)
        tally.calls += 1
        tally.unpriced += cost is None
        tally.cost += cost or ZERO
        return said


class _Completing:
    """`Complete`, counted."""

    def __init__(self, asked: Complete, meter: _Meter) -> None:
        self._asked = asked
        self._meter = meter

    async def __call__(
        self, ctx: Context, model: str, messages: Sequence[Mapping[str, str]], params: Mapping[str, Any]
    ) -> Said:
        given = sum(_bytes(text) + _PER_FIELD for one in messages for text in one.values())
        longest = next((params[name] for name in _LIMITS if type(params.get(name)) is int), None)
        return await self._meter.asked(ctx, model, given, longest, lambda: self._asked(ctx, model, messages, params))


class _Embedding:
    """`Embed`, counted."""

    def __init__(self, asked: Embed, meter: _Meter) -> None:
        self._asked = asked
        self._meter = meter

    async def __call__(self, ctx: Context, embedder: str, texts: Sequence[str]) -> Embedded:
        given = sum(_bytes(text) + _PER_FIELD for text in texts)
        return await self._meter.asked(ctx, embedder, given, 0, lambda: self._asked(ctx, embedder, texts))


async def dearest(ctx: Context, model: str, given: int, longest: int | None) -> Decimal | None:
    """Return US dollars that a call of so many bytes costs at most, about where there is no most; None where nobody knows."""
    found = await priced(ctx, model, [given], longest)
    return found.cost if found.most is None else found.most


async def priced(ctx: Context, model: str, given: Sequence[int], longest: int | None) -> Priced:
    """Return what calls will cost, as `Foresee` says it; where nothing is bound to say it, that is why nobody knows."""
    if not ctx.services.has(Foresee):
        return Priced(unpriced="nobody in this process knows what calls cost")
    return await ctx.get(Foresee)(ctx, model, given, longest)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def judges_of(scorers: Sequence[Applied]) -> list[str]:
    """Return the models and embedders that scorers ask, each once."""
    return list(dict.fromkeys(one.asks for one in scorers if one.asks))


def metered(ctx: Context, scorers: Sequence[Applied], tally: Tally, purse: Pays | None = None) -> Context:
    """Return the context by which an answer is judged: what scorers ask through it is counted in `tally`."""
    if not any(one.asks for one in scorers):
        return ctx
    meter = _Meter(tally, purse)
    if ctx.services.has(Complete):
        completing: Complete = _Completing(ctx.get(Complete), meter)
        ctx = ctx.having(Complete, completing)
    if ctx.services.has(Embed):
        embedding: Embed = _Embedding(ctx.get(Embed), meter)
        ctx = ctx.having(Embed, embedding)
    return ctx
