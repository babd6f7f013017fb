"""The verbs of synthesis: plan and begin one; carry it out, each passage asked about once, within its cap."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.contaminating.reading import text_of
from gimbal.axis.evals.metering import priced
from gimbal.axis.evals.model import CreateSuite, EvaluationOptions
from gimbal.axis.evals.running import check_cap
from gimbal.axis.evals.suites import Suites, applied
from gimbal.axis.evals.synthesis.checking import Candidate, distinct, example_of, supported
from gimbal.axis.evals.synthesis.model import (
    JOB,
    MOST_GIVEN,
    SCORER,
    Passage,
    RunSynthesis,
    Synthesis,
    Synthesise,
    SynthesisPlan,
    SynthesisReport,
    Written,
)
from gimbal.axis.evals.synthesis.passages import chosen, of_version, passage_digest
from gimbal.axis.evals.synthesis.writing import messages_of, params_of, prompt_digest
from gimbal.axis.scores.asking import Complete, Priced
from gimbal.engines.compute.jobs import Jobs
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, GimbalError, Unavailable
from gimbal.kernel.money import ZERO, format_money
from gimbal.kernel.refs import Ref, ResolvedRef, check_name

Step = Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]]
Tell = Callable[[int, int, Decimal], Awaitable[None]]
_ATTEMPTS = 4
_LONGEST_WAIT_S = 60.0


async def begin(ctx: Context, body: Synthesise) -> Synthesis:
    """Enqueue a synthesis, or tell what it would cost where it is `dry`.

    Raise BadInput where there is nothing to write from, NotFound for a source or scorer that is not there, Unpriced for a
    cap that cannot be held.
    """
    check_name(body.name)
    if not body.model.strip():
        raise BadInput("Nobody is named who writes.", where="model", todo="Name a model: openai/gpt-5-mini.")
    if body.max_cost is not None and not body.max_cost >= 0:
        raise BadInput("A cap is an amount from 0.", where="max_cost", todo="Give dollars like 5.00.")
    applied(body.scorers or [SCORER])
    source, passages, held = await _passages(ctx, body, body.source)
    foreseen = await _foreseen(ctx, body, passages)
    check_cap(EvaluationOptions(max_cost=body.max_cost), foreseen)
    calls = len(passages)
    plan = SynthesisPlan(
        source=source,
        passages=calls,
        left_out=max(0, held - calls),
        examples=calls * body.per_passage,
        cost=None if foreseen.cost is None else foreseen.cost * calls,
        most=None if foreseen.most is None else foreseen.most * calls,
        unpriced=foreseen.unpriced,
    )
    if body.dry:
        return Synthesis(plan=plan, job_id=None)
    payload = RunSynthesis(body=body, source=str(source) if source is not None else "")
    job = await ctx.get(Jobs).enqueue(ctx, JOB, payload)
    return Synthesis(plan=plan, job_id=job.id)


async def _passages(ctx: Context, body: Synthesise, source: str) -> tuple[ResolvedRef | None, list[Passage], int]:
    """Return the version that is written from, the passages that are asked about, and how many there are."""
    if bool(body.passages) == bool(source):
        raise BadInput(
            "A suite is written from passages, or from a version.",
            where="passages",
            todo="Give either passages or a source, as index:help/docs.",
        )
    if sum(len(one.text) for one in body.passages) > MOST_GIVEN:
        raise BadInput(
            f"The passages have more than {MOST_GIVEN:,} characters.",
            where="passages",
            todo="Store them as a dataset, and name that as the source.",
        )
    version = None if not source else await ctx.get(Assets).resolve(ctx, Ref.parse(source))
    held = body.passages if version is None else await of_version(ctx, version)
    found, count = await asyncio.to_thread(chosen, held, body.most)
    if not found:
        raise BadInput(
            "There is no passage with enough text to ask about.",
            where="passages" if version is None else "source",
            todo="Give texts of a sentence or more.",
        )
    return (None if version is None else version.ref), found, count


async def _foreseen(ctx: Context, body: Synthesise, passages: Sequence[Passage]) -> Priced:
    given = [sum(len(one["content"].encode()) for one in messages_of(body, passage)) for passage in passages]
    return await priced(ctx, body.model, given, body.max_tokens)


async def carry_out(ctx: Context, payload: RunSynthesis, step: Step, tell: Tell) -> SynthesisReport:
    """Have questions written and checked, and store them as a suite; what a `step` has stored is not asked again.

    Raise the last error where every call failed.
    """
    body = payload.body
    source, passages, _ = await _passages(ctx, body, payload.source)
    foreseen = await _foreseen(ctx, body, passages)
    check_cap(EvaluationOptions(max_cost=body.max_cost), foreseen)
    asking = _Asking(ctx, body, foreseen, step)
    await asking.all(passages, tell)
    if asking.failure is not None and not asking.written:
        raise asking.failure
    dropped: Counter[str] = Counter()
    candidates: list[Candidate] = []
    for passage, written in asking.written:
        candidates += supported(passage, written, body.per_passage, dropped)
    kept = await asyncio.to_thread(distinct, candidates, await _known(ctx, payload), body.threshold, dropped)
    examples = [example_of(one, body, payload.source) for one in kept]
    ref: ResolvedRef | None = None
    if examples:
        note = body.note or f"Written by {body.model} from {len(asking.written):,} passages"
        suite = CreateSuite(name=body.name, examples=examples, scorers=body.scorers or [SCORER], note=note)
        made = {
            "from": "synthesis",
            "model": body.model,
            "prompt": prompt_digest(body),
            **({"source": str(source)} if source is not None else {}),
            "passages": len(passages),
            "asked": len(asking.written),
            "examples": len(examples),
            "dropped": dict(sorted(dropped.items())),
            "failed": dict(sorted(asking.failed.items())),
        }
        inputs = [source] if source is not None else []
        ref = (await ctx.get(Suites).create(ctx, suite, made=made, inputs=inputs)).ref
    return SynthesisReport(
        ref=ref,
        passages=len(passages),
        asked=len(asking.written),
        examples=len(examples),
        dropped=dict(dropped),
        failed=dict(asking.failed),
        cost=asking.spent,
        unpriced=asking.unpriced,
        stopped=asking.stopped,
    )


async def _known(ctx: Context, payload: RunSynthesis) -> list[str]:
    """Return the questions of the seeds, which are not to be written again."""
    if not payload.source or Ref.parse(payload.source).kind != "suite":
        return []
    version = await ctx.get(Assets).resolve(ctx, Ref.parse(payload.source))
    return [text_of(example.input) for example in await ctx.get(Suites).examples(version)]


class _Asking:
    """The calls of one synthesis."""

    def __init__(self, ctx: Context, body: Synthesise, foreseen: Priced, step: Step) -> None:
        self._ctx = ctx
        self._body = body
        self._step = step
        self._dearest = max(foreseen.most or ZERO, foreseen.cost or ZERO)
        self.written: list[tuple[Passage, Written]] = []
        self.failed: Counter[str] = Counter()
        self.failure: GimbalError | None = None
        self.spent = ZERO
        self.unpriced = 0
        self.stopped = ""

    async def all(self, passages: Sequence[Passage], tell: Tell) -> None:
        """Ask about passages, some at a time, as long as the cap allows."""
        at = 0
        while at < len(passages):
            count = self._room()
            if not count:
                return
            some = passages[at : at + count]
            for passage, written in zip(some, await asyncio.gather(*map(self._one, some)), strict=True):
                if written is not None:
                    self._take(passage, written)
            at += len(some)
            await tell(at, len(passages), self.spent)

    def _room(self) -> int:
        """Return how many calls may be made at once; 0 where the cap leaves none."""
        cap = self._body.max_cost
        if cap is None:
            return self._body.concurrency
        if self.unpriced:
            self.stopped = "What a call cost is not known, so the cap cannot be held."
            return 0
        left = max(cap - self.spent, ZERO)
        count = min(self._body.concurrency, int(left / self._dearest)) if self._dearest else self._body.concurrency
        if not count:
            self.stopped = (
                f"The cap of {format_money(cap)} is reached: {format_money(left)} is left of it, "
                f"and a call may cost {format_money(self._dearest)}."
            )
        return count

    def _take(self, passage: Passage, written: Written) -> None:
        self.written.append((passage, written))
        if written.cost is None:
            self.unpriced += 1
        else:
            self.spent += written.cost
            self._dearest = max(self._dearest, written.cost)

    async def _one(self, passage: Passage) -> Written | None:
        """Return what the model says of a passage; None where it fails in the end, which is counted."""
        name = f"{passage_digest(passage)} {passage.id}"
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                stored = await self._step(name, lambda: self._asked(passage))
                return msgspec.convert(stored, Written)
            except GimbalError as problem:
                if problem.retry_after is None or attempt == _ATTEMPTS:
                    self.failed[problem.code] += 1
                    self.failure = problem
                    return None
                await asyncio.sleep(min(problem.retry_after, _LONGEST_WAIT_S))
        raise AssertionError

    async def _asked(self, passage: Passage) -> Any:
        if not self._ctx.services.has(Complete):
            raise Unavailable("This process has no models.", todo="Start it with `gimbal up`.")
        body = self._body
        said = await self._ctx.get(Complete)(self._ctx, body.model, messages_of(body, passage), params_of(body))
        written = Written(text=said.text, trace_id=said.trace_id, at=self._ctx.now().isoformat(), cost=said.cost)
        return msgspec.to_builtins(written)
