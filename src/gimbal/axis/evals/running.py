"""One evaluation under way: calls with a limit to their number, rate, time and cost; each answer judged and stored.

An answer that was stored is never asked for again; one that was still under way when the process died is.
`service` makes a Running for each run and sums up what it stored.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from decimal import Decimal

import msgspec

from gimbal.axis.assets.model import Version
from gimbal.axis.evals.judging import Judging
from gimbal.axis.evals.metering import Tally, judges_of, metered
from gimbal.axis.evals.model import EvaluationOptions, EvaluationResult, Example
from gimbal.axis.evals.purse import Purse
from gimbal.axis.evals.reading import Spending
from gimbal.axis.evals.recall import Recall
from gimbal.axis.evals.results import TABLE, Answer, Ask, output_of, seen_of, tally_of, to_rows
from gimbal.axis.evals.target import TARGETS, Foreseen, TargetOutput
from gimbal.axis.scores.asking import Priced
from gimbal.axis.scores.model import Missing, ScoreValue
from gimbal.axis.scores.scorer import Applied
from gimbal.engines.storage.writer import Rows, Writer
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Busy, GimbalError, Unpriced
from gimbal.kernel.money import ZERO

_log = logging.getLogger(__name__)
_LONGEST_ERROR = 2_000
_ATTEMPTS = 5
_LONGEST_WAIT_S = 60.0
_WRITES = 60
"""Attempts to store an answer while others fill the writer."""
_TELL_S = 0.5
"""Between two reports of how far it is."""
_UNSTORED = 256
"""Answers that may wait for their commit before more are asked for: so many are asked again after a crash, at most."""

Tell = Callable[["Progress"], Awaitable[None]]


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run is."""

    done: int
    total: int
    cached: int
    spent: Decimal
    """US dollars that are spent, those of earlier attempts and of judges among them."""
    judges: Decimal = ZERO
    """What judges took of it."""
    left_s: float | None
    """Seconds it will still take at the pace so far; null before there is one."""


class Running:
    """Carries out one run; `go` once."""

    def __init__(
        self,
        ctx: Context,
        run_id: str,
        subject: Version,
        scorers: Sequence[Applied],
        options: EvaluationOptions,
        *,
        writer: Writer,
        foreseen: Foreseen,
        recall: Recall | None,
        tell: Tell,
        before: Spending,
        judges: Judging | None = None,
        kept: Mapping[int, EvaluationResult] | None = None,
        generation: int = 0,
    ) -> None:
        """`before` is what earlier attempts cost: the cap is of the whole run. `judges` says what judging will cost.

        `kept` are answers by place that they got and could not judge any more.
        """
        self._ctx = ctx
        self._run_id = run_id
        self._subject = subject
        self._target = TARGETS.get(subject.kind)
        self._scorers = scorers
        self._options = options
        self._recall = recall
        self._tell = tell
        self._writer = writer
        self._kept = kept or {}
        self._generation = generation
        self._purse = Purse(
            options.max_cost,
            spent=before.spent,
            dearest=max(foreseen.most or ZERO, foreseen.cost or ZERO),
            seen=before.judging if judges_of(scorers) else ZERO,
            foreseen=judges,
            judges=before.judges,
        )
        self._next_at = 0.0
        self._storing: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(_UNSTORED)
        self._begun = self._told = time.monotonic()
        self._done = self._fresh = self.cached = 0
        self._total = 0
        self._failure: BaseException | None = None

    @property
    def stopped(self) -> str:
        """Why it stopped before its end; empty when it did not."""
        return self._purse.stopped or ("" if self._failure is None else "An answer could not be stored.")

    @property
    def spent(self) -> Decimal:
        """US dollars, those of earlier attempts among them."""
        return self._purse.spent

    async def go(self, asks: Sequence[Ask], stored: int) -> None:
        """Have every answer asked for, judged and stored; raise what keeps the run from going on.

        Cancelled, it still stores the answers that it has.
        """
        self._done, self._total = stored, stored + len(asks)
        waiting = iter(asks)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._options.concurrency, len(asks))):
                    group.create_task(self._work(waiting))
        finally:
            if self._storing:
                await asyncio.shield(asyncio.gather(*self._storing, return_exceptions=True))
        await self._report(whole=True)

    async def _work(self, waiting: Iterator[Ask]) -> None:
        for ask in waiting:
            if self.stopped:
                return
            known, cached, tally = await self._known(ask)
            share = await self._purse.keep(asking=known is None)
            if share is None:
                return
            try:
                output = await self._asked(ask.example) if known is None else known
                ctx = metered(self._ctx, self._scorers, tally, share)
                scores = await judged(ctx, self._scorers, ask.example, output)
            finally:
                self._purse.judged(share, tally)
            self.cached += cached
            if tally.refused:
                # It is judged when the run goes on; what was asked of it is paid for.
                scores = {}
            await self._keep(ask, output, scores, tally, cached=cached)

    async def _known(self, ask: Ask) -> tuple[TargetOutput | None, bool, Tally]:
        """Return an answer that is there already, whether another run made it, and what judging it has cost so far."""
        if (row := self._kept.get(ask.position)) is not None:
            return output_of(row), row.cached, tally_of(row)
        known = None if self._recall is None else await self._recall.find(ask)
        return known, known is not None, Tally()

    async def _asked(self, example: Example) -> TargetOutput:
        """Call the target, again where it was only too early; settle what it cost."""
        output = TargetOutput(error="not asked")
        try:
            for attempt in range(1, _ATTEMPTS + 1):
                await self._pace()
                output = await self._called(example)
                if output.retry_after_s is None or attempt == _ATTEMPTS:
                    break
                # Those who wait for the same second do not all come again in it.
                await asyncio.sleep(min(output.retry_after_s, _LONGEST_WAIT_S) * random.uniform(1, 1.25))  # noqa: S311
        finally:
            self._purse.answered(output.cost, failed=bool(output.error))
        return output

    async def _called(self, example: Example) -> TargetOutput:
        try:
            async with asyncio.timeout(self._options.timeout_s):
                return await self._target(self._ctx, self._subject, example)
        except TimeoutError:
            return TargetOutput(error=f"No answer within {self._options.timeout_s:g} s.", failure="timed_out")
        except GimbalError as problem:
            return TargetOutput(error=str(problem)[:_LONGEST_ERROR], retry_after_s=problem.retry_after)
        except Exception as problem:  # noqa: BLE001 - as the comment says
            # A target is somebody else's code: one example that it cannot take does not stop the others.
            _log.warning("%s fails on the example %s", self._subject.ref, example.id, exc_info=True)
            return TargetOutput(error=f"{type(problem).__name__}: {problem}"[:_LONGEST_ERROR])

    async def _pace(self) -> None:
        """Wait for this call's turn, where only so many may begin in a minute."""
        if self._options.per_minute is None:
            return
        now = time.monotonic()
        turn = max(now, self._next_at)
        self._next_at = turn + 60 / self._options.per_minute
        if turn > now:
            await asyncio.sleep(turn - now)

    async def _keep(
        self, ask: Ask, output: TargetOutput, scores: dict[str, ScoreValue], tally: Tally, *, cached: bool
    ) -> None:
        """Hand an answer to the writer; whoever asked goes on while it is stored."""
        key = "" if self._recall is None or output.error else self._recall.key(ask)
        answer = Answer(
            position=ask.position,
            repeat=ask.repeat,
            example=ask.example,
            output=output,
            scores=scores,
            cache_key=key,
            cached=cached,
            tally=tally,
            judged=not tally.refused,
        )
        await self._room.acquire()
        storing = asyncio.create_task(self._store(answer))
        self._storing.add(storing)
        storing.add_done_callback(self._stored)
        if not self._fresh % 8:
            await asyncio.sleep(0)  # targets that answer at once would keep others waiting
        self._fresh += 1

    async def _store(self, answer: Answer) -> None:
        try:
            rows = to_rows(self._ctx.project or "default", self._run_id, [answer], generation=self._generation)
            await self._write(rows)
            self._done += 1
            await self._report()
        finally:
            self._room.release()

    async def _write(self, rows: Rows) -> None:
        for attempt in range(1, _WRITES + 1):
            try:
                await self._writer.write(TABLE, rows)
            except Busy as problem:
                if attempt == _WRITES:
                    raise
                await asyncio.sleep(min(problem.retry_after or 0.1, 1.0))
            else:
                return

    def _stored(self, task: "asyncio.Task[None]") -> None:
        self._storing.discard(task)
        if not task.cancelled() and (problem := task.exception()) is not None:
            self._failure = problem

    def check(self) -> None:
        """Raise what kept an answer from being stored."""
        if self._failure is not None:
            raise self._failure

    async def _report(self, *, whole: bool = False) -> None:
        now = time.monotonic()
        if not whole and now - self._told < _TELL_S:
            return
        self._told = now
        pace = (now - self._begun) / self._fresh if self._fresh else None
        left = None if pace is None else pace * (self._total - self._done)
        await self._tell(
            Progress(
                done=self._done,
                total=self._total,
                cached=self.cached,
                spent=self._purse.spent,
                judges=self._purse.judges,
                left_s=left,
            )
        )


def check_amount(cap: Decimal | None) -> None:
    """Raise BadInput for a cap that is no amount."""
    if cap is not None and not (cap.is_finite() and cap >= 0):
        raise BadInput("A cap is an amount from 0.", where="max_cost", todo="Give dollars like 5.00.")


def check_cap(options: EvaluationOptions, foreseen: Priced, judges: Judging | None = None) -> None:
    """Raise Unpriced for a cap that cannot be held because nobody knows what a call, or a judge's call, may cost."""
    if options.max_cost is None:
        return
    told = ""
    if foreseen.most is None and foreseen.cost is None:
        told = f"What a call costs is not known: {foreseen.unpriced or 'the subject does not say'}."
    elif judges is not None and judges.cost is None:
        told = f"What judging costs is not known: {judges.unpriced}."
    if told:
        raise Unpriced(
            told,
            where="max_cost",
            kept="nothing was asked",
            todo="Give the model a price, or leave out the cap.",
        )


async def judged(
    ctx: Context, scorers: Sequence[Applied], example: Example, output: TargetOutput
) -> dict[str, ScoreValue]:
    """Return what every scorer says of one output; what none can say is missing with a reason, never 0."""
    seen = seen_of(output, example.input)
    if not output.error:
        return {one.name: await _judged(ctx, one, example, seen) for one in scorers}
    lost = ScoreValue(value=None, missing=output.failure, explanation=output.error[:200])
    if output.failure != Missing.REFUSED:
        return {one.name: lost for one in scorers}
    # Whether it refuses where it should is what some judge: to them a refusal is an answer.
    seen["refused"] = True
    return {
        one.name: await _judged(ctx, one, example, seen) if "refused" in one.card.reads else lost for one in scorers
    }


async def _judged(ctx: Context, scorer: Applied, example: Example, seen: dict[str, object]) -> ScoreValue:
    try:
        found = await scorer.judge(ctx, example.expected, seen)
    except Exception as problem:  # noqa: BLE001 - a scorer is somebody else's code, too
        _log.warning("the scorer %s fails on the example %s", scorer.name, example.id, exc_info=True)
        why = f"{type(problem).__name__}: {problem}"[:200]
        return ScoreValue(value=None, missing=Missing.SCORER_ERROR, explanation=why)
    low, high = scorer.card.low, scorer.card.high
    inside = found.value is None or (
        (low is None or found.value >= low)
        and (high is None or found.value <= high)
        and float("-inf") < found.value < float("inf")
    )
    if not inside:  # also not a number
        return ScoreValue(value=None, missing=Missing.OUT_OF_RANGE, explanation=f"{found.value} is out of range")
    return found
