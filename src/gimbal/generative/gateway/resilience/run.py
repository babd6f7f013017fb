"""One call on its way through its plan: one attempt after the other until an answer begins, none after the deadline.

What an attempt raises is judged by `faults`, and `health` is told of everything.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

import msgspec

from gimbal.engines.http.model import Deadlines, TooSlow
from gimbal.generative.gateway.provider import Answer, Choice
from gimbal.generative.gateway.resilience.breaker import REFUSED
from gimbal.generative.gateway.resilience.faults import Fault, judge
from gimbal.generative.gateway.resilience.health import Known
from gimbal.generative.gateway.resilience.model import Attempt, Outcome, Plan
from gimbal.generative.gateway.resilience.vitals import ModelHealth
from gimbal.kernel.errors import Busy, GimbalError, Unavailable

OpenOne = Callable[[Choice, Deadlines], Awaitable[Answer]]
"""Sends the call to one choice and returns once its answer has begun. It keeps to the deadlines that it is given."""

_FILTERED = Fault("content_filter", "filtered", again=False, elsewhere=True, counts=False)
_OPEN = Fault("kept_away", "breaker_open", again=False, elsewhere=True, counts=False)
_PAUSED = Fault("kept_away", "paused", again=True, elsewhere=True, counts=False)
_LATE = Fault("late", "too_slow", again=False, elsewhere=False, counts=False)
_OURS = (_OPEN, _PAUSED, _LATE)
_BLAME = ("caller", "content_filter", "context_length")
# A breaker that waits for its probes does not know for how long.
_SOON_S = 1.0


class Failed:
    """An attempt that brought no answer for the caller."""

    __slots__ = ("fault", "problem")

    def __init__(self, fault: Fault, problem: GimbalError) -> None:
        self.fault = fault
        self.problem = problem


class Run:
    """One call on its way through its plan."""

    def __init__(
        self,
        plan: Plan,
        open_one: OpenOne,
        health: Known,
        *,
        deadline: float | None = None,
        attempts: list[Attempt] | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.plan = plan
        self.health = health
        self.clock = health.clock
        self.begun = health.clock()
        self.end = self.begun + plan.resilience.deadlines.total_s
        self.attempts: list[Attempt] = [] if attempts is None else attempts
        self._open_one = open_one
        self._chance = chance
        self._hurried = deadline is not None and deadline < self.end
        if deadline is not None and deadline < self.end:
            self.end = deadline
        self.over = False
        """Whether another attempt has won; what is stopped then is wasted."""
        self.used: Choice | None = None
        """A choice that has been tried out of its turn."""
        self._told: Failed | None = None
        self._filtered: Outcome | None = None

    async def through(self, failed: Failed | None = None) -> Outcome:
        """Try the choices in order; `failed` is what came of an attempt at the first one already."""
        choices = self.plan.choices
        if self.used is not None:
            choices = tuple(choice for choice in choices if choice is not self.used)
        last = len(choices) - 1
        for place, choice in enumerate(choices):
            known = self.health.of(choice.provider, choice.model)
            if failed is None:
                found = await self.once(choice, known, "fallback" if place else "first")
            else:
                found, failed = failed, None
            tries = 1
            while isinstance(found, Failed) and await self._again(found, known, tries, alone=place == last):
                tries += 1
                found = await self.once(choice, known, "retry")
            if not isinstance(found, Failed):
                return found
            self.tell(found)
            if not found.fault.elsewhere or self.clock() >= self.end:
                break
            if place < last:
                known.sent_on(choices[place + 1])
        if self._filtered is not None:
            self._give_filtered()
            return self._filtered
        assert self._told is not None
        raise self._told.problem

    async def once(self, choice: Choice, known: ModelHealth, kind: str) -> Outcome | Failed:
        """Make one attempt."""
        began = self.clock()
        if began >= self.end:
            return Failed(_LATE, _too_late())
        token = known.enter(began)
        if token == REFUSED:
            return self._kept_away(choice, known, kind, began)
        if kind == "first" or kind == "fallback":  # noqa: PLR1714 - on the path of every call
            known.earn()
        limits = self.plan.resilience.deadlines
        deadlines = Deadlines(limits.connect_s, limits.first_byte_s, limits.between_s, self.end - began)
        try:
            answer = await self._open_one(choice, deadlines)
        except GimbalError as problem:
            now = self.clock()
            fault = judge(problem, self.plan.resilience, hurried=self._hurried)
            if self.over:  # whoever has won has noted it already
                known.gave_up(token, now, now - began, wasted=True)
                return Failed(fault, problem)
            known.failed(token, now, now - began, fault, problem)
            status = getattr(problem, "provider_status", None)
            self.record(choice, kind, began, fault.outcome, status=status, message=problem.message)
            return Failed(fault, problem)
        except BaseException as problem:
            now = self.clock()
            known.gave_up(token, now, now - began, wasted=self.over)
            if not self.over:
                stopped = isinstance(problem, asyncio.CancelledError)
                said = "" if stopped else f"The gateway failed: {type(problem).__name__}."
                self.record(choice, kind, began, "cancelled" if stopped else "failed", message=said)
            raise
        now = self.clock()
        known.answers(token, now, now - began, stream=answer.whole is None)
        if self.plan.resilience.fall_back_on and self._unwanted(choice, answer):
            return await self._keep_filtered(choice, answer, kind, began)
        self.record(choice, kind, began, "ok")
        return Outcome(answer=answer, choice=choice, attempts=self.attempts)

    def record(
        self, choice: Choice, kind: str, began: float, outcome: str, *, status: int | None = None, message: str = ""
    ) -> None:
        """Note an attempt that ends now."""
        self.attempts.append(
            Attempt(
                choice=choice,
                kind=kind,
                started_ms=(began - self.begun) * 1000.0,
                ms=(self.clock() - began) * 1000.0,
                outcome=outcome,
                status=status,
                message=message,
            )
        )

    def tell(self, failed: Failed) -> None:
        """Choose the error that the caller shall see: the last one that a provider gave to a call that might be good."""
        # What an earlier target did not mind is no fault of the call; and a provider's word goes before our own.
        weak = failed.fault in _OURS or failed.fault.kind in _BLAME
        if weak and self._told is not None and self._told.fault not in _OURS:
            return
        self._told = failed

    async def _again(self, failed: Failed, known: ModelHealth, tries: int, *, alone: bool) -> bool:
        """Wait and return True where the same target may be tried again; `alone`: no other target is left."""
        retry = self.plan.resilience.retry
        if not failed.fault.again or tries >= retry.attempts:
            return False
        wait = self._chance() * min(retry.most_s, retry.base_s * 2.0 ** (tries - 1))
        asked = failed.problem.retry_after
        if asked is not None and asked > 0:
            if not alone or asked > retry.most_s:
                return False
            # All who were sent away wait for the same moment; the rest of the wait spreads them.
            wait += asked
        if self.clock() + wait >= self.end or not (failed.fault is _PAUSED or known.may_retry()):
            return False
        self.tell(failed)
        await asyncio.sleep(wait)
        return True

    def _kept_away(self, choice: Choice, known: ModelHealth, kind: str, began: float) -> Failed:
        wait = known.resting(began) or _SOON_S
        name = f"{choice.provider}/{choice.model}"
        problem: GimbalError
        if known.paused:
            fault = _PAUSED
            problem = Busy(
                f"{name} has asked to be left alone for {wait:.1f} s.",
                where="model",
                todo="Try again then, or call a route with another target.",
                retry_after=wait,
            )
        else:
            fault = _OPEN
            problem = Unavailable(
                f"{name} has failed too often of late and is not called for {wait:.1f} s.",
                where="model",
                todo="Try again then, or call a route with another target.",
                retry_after=wait,
            )
        self.record(choice, kind, began, fault.outcome, message=problem.message)
        return Failed(fault, problem)

    def _unwanted(self, choice: Choice, answer: Answer) -> bool:
        whole = answer.whole
        filtered = whole is not None and whole.finish == "content_filter"
        wanted = "content_filter" not in self.plan.resilience.fall_back_on or choice is self.plan.choices[-1]
        return filtered and not wanted

    def _give_filtered(self) -> None:
        """Take back that nobody gets the answer which was put aside last: the call's own record has its usage now."""
        for place in range(len(self.attempts) - 1, -1, -1):
            if self.attempts[place].outcome == _FILTERED.outcome:
                self.attempts[place] = msgspec.structs.replace(self.attempts[place], usage=None)
                return

    async def _keep_filtered(self, choice: Choice, answer: Answer, kind: str, began: float) -> Failed:
        """Put an answer aside that a content filter has cut: it is what the caller gets when no other target does better."""
        self.record(choice, kind, began, "filtered")
        if answer.whole is not None and answer.whole.usage is not None:
            self.attempts[-1] = msgspec.structs.replace(self.attempts[-1], usage=answer.whole.usage)
        await answer.aclose()
        read = Answer(
            whole=answer.whole,
            same=answer.same,
            model=answer.model,
            fingerprint=answer.fingerprint,
            headers=answer.headers,
            note=answer.note,
        )
        self._filtered = Outcome(answer=read, choice=choice, attempts=self.attempts)
        return Failed(_FILTERED, GimbalError("A content filter stopped the answer."))


def _too_late() -> TooSlow:
    problem = TooSlow("No time was left for an attempt.", where="deadline", todo="Allow the call more time.")
    problem.phase = "total"
    return problem
