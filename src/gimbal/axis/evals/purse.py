"""The money of one run: kept for what is about to be asked, settled when its cost is known.

`running` keeps money for each answer and for judging it, `metering` keeps what each call of a judge may cost. What was spent and
what is kept never pass the cap together, so that the cap holds as long as no call is dearer than was foreseen. Without a cap all of
it only counts.
"""

import asyncio
from decimal import Decimal

from gimbal.axis.evals.judging import Judging
from gimbal.axis.evals.metering import Tally
from gimbal.kernel.money import ZERO, format_money

_UNPRICED = "What {what} cost is not known, so the cap cannot be held."


class Share:
    """The money of one answer: kept to judge it, and what its judges took."""

    def __init__(self, purse: "Purse", reserved: Decimal) -> None:
        self._purse = purse
        self._reserved = reserved
        self._paid = self._pending = ZERO
        self._waiting = 0
        """Calls that wait for money."""
        self._calls = 0
        """Calls under way."""
        self.refused = False
        """Whether there was no money for a call: then there is none for another."""

    @property
    def capped(self) -> bool:
        """Whether there is an end to the money."""
        return self._purse.capped

    @property
    def held(self) -> Decimal:
        """What is kept and not spent yet."""
        return max(self._reserved - self._paid, self._pending)

    @property
    def blocked(self) -> bool:
        """Whether it can only wait for others."""
        return self._waiting > 0 and not self._calls and not self.refused

    def more(self, pending: Decimal) -> Decimal:
        """Return how much more is kept with so much more under way."""
        return max(self._reserved - self._paid, self._pending + pending) - self.held

    async def hold(self, most: Decimal | None) -> bool:
        """Keep what one call may cost, None where nobody knows; False where there is no money for it.

        It waits as long as others, which may cost less than was kept for them, are under way.
        """
        self._waiting += 1
        try:
            while not self.refused and not self._purse.lends(self, most):
                if self._purse.stuck:
                    self.refused = True
                    self._purse.wake()
                else:
                    await self._purse.change()
        finally:
            self._waiting -= 1
        if self.refused:
            return False
        self._calls += 1
        self._purse.move(self, pending=most or ZERO)
        return True

    def settle(self, most: Decimal | None, cost: Decimal | None) -> None:
        """Note what a call cost that so much was kept for; None where that is not known, or it failed."""
        self._calls -= 1
        self._purse.move(self, pending=-(most or ZERO), paid=cost or ZERO)

    def moved(self, pending: Decimal, paid: Decimal) -> None:
        """Note what is under way more, or less, and what was paid; the purse does."""
        self._pending += pending
        self._paid += paid


class Purse:
    """What a run has spent, may spend, and keeps for calls under way."""

    def __init__(
        self,
        cap: Decimal | None,
        *,
        spent: Decimal,
        dearest: Decimal,
        seen: Decimal | None,
        foreseen: Judging | None = None,
        judges: Decimal = ZERO,
    ) -> None:
        """`spent` is what earlier attempts cost, `judges` how much of it judges took, `dearest` what an answer may cost.

        `seen` is what judging an answer has cost at most so far, and `foreseen` what it will, which counts until something is
        seen. Where both are None the first answer is judged alone, if there is a cap.
        """
        self._cap = cap
        self.spent = spent
        self.judges = judges
        """What judges took of it."""
        self._dearest = dearest
        self._seen = seen
        self._foreseen = None if foreseen is None else foreseen.cost
        self._call = ZERO if foreseen is None else foreseen.call or ZERO
        """What one call of a judge may cost."""
        self._answers = 0
        """Answers that money is kept for."""
        self._shares: set[Share] = set()
        self._held = ZERO
        """What is kept to judge answers."""
        self._changed = asyncio.Event()
        self.stopped = ""
        """Why nothing more may be spent; empty while it may."""

    @property
    def capped(self) -> bool:
        """Whether there is a cap."""
        return self._cap is not None

    @property
    def stuck(self) -> bool:
        """Whether nothing is under way that could leave money over: all wait for it."""
        return all(share.blocked for share in self._shares)

    @property
    def _judging(self) -> Decimal | None:
        """What judging an answer takes: so much, and what its last call may cost beyond what it will."""
        usual = self._foreseen if self._seen is None else self._seen
        return None if usual is None else usual + self._call if usual else usual

    async def keep(self, *, asking: bool) -> Share | None:
        """Keep money to judge an answer and, `asking`, to get it.

        None where the cap leaves none, once nothing is under way that could cost less.
        """
        while not self.stopped and self._cap is not None and self._short(self._cap, asking=asking):
            if not self._shares:
                self.stopped = self._why(self._cap, asking=asking)
                break
            await self.change()
        if self.stopped:
            return None
        share = Share(self, self._judging or ZERO)
        self._answers += asking
        self._shares.add(share)
        self._held += share.held
        return share

    def _short(self, cap: Decimal, *, asking: bool) -> bool:
        if self._judging is None and (self._shares or self.spent >= cap):
            return True
        needed = self._dearest * asking + (self._judging or ZERO)
        # What is known already and judged for nothing needs no money.
        return bool(asking or needed) and self._committed + needed > cap

    @property
    def _committed(self) -> Decimal:
        return self.spent + self._dearest * self._answers + self._held

    def _why(self, cap: Decimal, *, asking: bool) -> str:
        left = format_money(max(cap - self.spent, ZERO))
        may = [f"a call may cost {format_money(self._dearest)}"] if asking else []
        may += [f"judging its answer {format_money(self._judging)}"] if self._judging else []
        return f"The cap of {format_money(cap)} is reached: {left} is left of it, and {' and '.join(may) or 'more is asked'}."

    def lends(self, share: Share, most: Decimal | None) -> bool:
        """Tell whether a call of a judge may be made that costs so much at most; None where nobody knows."""
        if self._cap is None:
            return True
        if most is None:
            return self.spent < self._cap
        more = share.more(most)
        return not more or self._committed + more <= self._cap

    def wake(self) -> None:
        """Have all who wait look again."""
        self._changed.set()

    async def change(self) -> None:
        """Wait until something was settled."""
        self._changed.clear()
        await self._changed.wait()

    def move(self, share: Share, *, pending: Decimal, paid: Decimal = ZERO) -> None:
        """Note what a share has under way and paid."""
        before = share.held
        share.moved(pending, paid)
        self._held += share.held - before
        self._call = max(self._call, pending)
        self.spent += paid
        self.judges += paid
        self.wake()

    def answered(self, cost: Decimal | None, *, failed: bool) -> None:
        """Settle what an answer cost; a failed one may have no price."""
        self._answers -= 1
        if cost is not None:
            self.spent += cost
            self._dearest = max(self._dearest, cost)
        elif not failed and self._cap is not None:
            self.stopped = self.stopped or _UNPRICED.format(what="an answer")
        self.wake()

    def judged(self, share: Share, tally: Tally) -> None:
        """Settle what judging an answer cost."""
        self._shares.discard(share)
        self._held -= share.held
        if tally.calls or self._foreseen is None:
            self._seen = max(self._seen or ZERO, tally.cost)
        if self._cap is not None and tally.unpriced:
            self.stopped = self.stopped or _UNPRICED.format(what="a judge's call")
        elif self._cap is not None and tally.refused:
            self.stopped = self.stopped or f"The cap of {format_money(self._cap)} was spent while an answer was judged."
        self.wake()
