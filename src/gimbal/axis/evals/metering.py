"""What judging an answer costs: calls of models and embedders that scorers make are counted, and end where the money does.

Scorers ask through their context, as ever; `metered` gives them one whose models are counted. `purse` says what may be spent.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from gimbal.axis.scores.asking import Complete, Embed
from gimbal.axis.scores.scorer import Applied
from gimbal.kernel.context import Context
from gimbal.kernel.errors import Conflict
from gimbal.kernel.money import ZERO


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
    """Money that judges may spend."""

    @property
    def empty(self) -> bool:
        """Whether there is none left."""
        ...

    def pay(self, cost: Decimal) -> None:
        """Note what a call cost."""
        ...


class _Metered:
    """A model or an embedder whose calls are counted."""

    def __init__(self, asked: Any, tally: Tally, purse: Pays | None) -> None:
        self._asked = asked
        self._tally = tally
        self._purse = purse

    async def __call__(self, *words: Any, **named: Any) -> Any:
        """Ask, where there is money; raise Conflict where there is none, and whatever asking raises."""
        tally, purse = self._tally, self._purse
        if purse is not None and purse.empty:
            tally.refused += 1
            raise Conflict("The cap of the evaluation is spent.", where="max_cost", todo="Go on with a higher one.")
        said = await self._asked(*words, **named)
        tally.calls += 1
        if said.cost is None:
            tally.unpriced += 1
        else:
            tally.cost += said.cost
            if purse is not None:
                purse.pay(said.cost)
        return said


def judges_of(scorers: Sequence[Applied]) -> list[str]:
    """Return the models and embedders that scorers ask, each once."""
    return list(dict.fromkeys(one.asks for one in scorers if one.asks))


def metered(ctx: Context, scorers: Sequence[Applied], tally: Tally, purse: Pays | None = None) -> Context:
    """Return the context by which an answer is judged: what scorers ask through it is counted in `tally`."""
    if not any(one.asks for one in scorers):
        return ctx
    for kind in (Complete, Embed):
        if ctx.services.has(kind):
            counted: Any = _Metered(ctx.get(kind), tally, purse)
            ctx = ctx.having(kind, counted)
    return ctx
