"""The money of one run: kept for what is about to be asked, settled when its cost is known.

`running` keeps money for each answer and for judging it, `metering` counts what judges ask. Without a cap all of it only counts.
"""

import asyncio
from decimal import Decimal

from gimbal.axis.evals.metering import Tally
from gimbal.kernel.money import ZERO, format_money

_UNPRICED = "What {what} cost is not known, so the cap cannot be held."


class Purse:
    """What a run has spent, may spend, and keeps for calls under way."""

    def __init__(self, cap: Decimal | None, *, spent: Decimal, dearest: Decimal, judging: Decimal | None) -> None:
        """`spent` is what earlier attempts cost, `dearest` what an answer may cost.

        `judging` is what judging an answer has cost at most so far; None where nobody knows. Then the first answer is judged
        alone, where there is a cap.
        """
        self._cap = cap
        self.spent = spent
        self._dearest = dearest
        self._judging = judging
        self._answers = self._judged = 0
        """Answers and judgements that money is kept for."""
        self._settled = asyncio.Event()
        self.stopped = ""
        """Why nothing more may be spent; empty while it may."""

    @property
    def empty(self) -> bool:
        """Whether the cap is spent."""
        return self._cap is not None and self.spent >= self._cap

    async def keep(self, *, asking: bool) -> bool:
        """Keep money to judge an answer and, `asking`, to get it.

        False where the cap leaves none, once nothing is under way that could cost less.
        """
        while not self.stopped and self._cap is not None and self._short(self._cap, asking=asking):
            if not self._judged:
                self.stopped = self._why(self._cap, asking=asking)
                break
            self._settled.clear()
            await self._settled.wait()
        if self.stopped:
            return False
        self._answers += asking
        self._judged += 1
        return True

    def _short(self, cap: Decimal, *, asking: bool) -> bool:
        if self._judging is None and (self._judged or self.empty):
            return True
        needed = self._dearest * (self._answers + asking) + (self._judging or ZERO) * (self._judged + 1)
        # What is known already and judged for nothing needs no money.
        return bool(asking or needed) and self.spent + needed > cap

    def _why(self, cap: Decimal, *, asking: bool) -> str:
        left = format_money(max(cap - self.spent, ZERO))
        may = [f"a call may cost {format_money(self._dearest)}"] if asking else []
        may += [f"judging its answer {format_money(self._judging)}"] if self._judging else []
        return f"The cap of {format_money(cap)} is reached: {left} is left of it, and {' and '.join(may) or 'more is asked'}."

    def answered(self, cost: Decimal | None, *, failed: bool) -> None:
        """Settle what an answer cost; a failed one may have no price."""
        self._answers -= 1
        if cost is not None:
            self.spent += cost
            self._dearest = max(self._dearest, cost)
        elif not failed and self._cap is not None:
            self.stopped = self.stopped or _UNPRICED.format(what="an answer")
        self._settled.set()

    def pay(self, cost: Decimal) -> None:
        """Note what a judge's call cost."""
        self.spent += cost

    def judged(self, tally: Tally) -> None:
        """Settle what judging an answer cost."""
        self._judged -= 1
        self._judging = max(self._judging or ZERO, tally.cost)
        if self._cap is not None and tally.unpriced:
            self.stopped = self.stopped or _UNPRICED.format(what="a judge's call")
        elif self._cap is not None and tally.refused:
            self.stopped = self.stopped or f"The cap of {format_money(self._cap)} was spent while an answer was judged."
        self._settled.set()
