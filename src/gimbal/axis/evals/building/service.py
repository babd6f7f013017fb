"""The verbs of suites from traces: begin one; carry it out, drawn once and stored once, whatever dies in between."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.building.from_traces import Drawing
from gimbal.axis.evals.building.model import (
    JOB,
    MOST_SAMPLED,
    MOST_SAMPLES,
    BuiltSuite,
    DrawnSuite,
    FromTraces,
    RunFromTraces,
    SuiteDraw,
)
from gimbal.axis.evals.model import AddExamples, CreateSuite, Example, decode_examples, encode_examples
from gimbal.axis.evals.suites import Suites, scorers_of
from gimbal.axis.evals.telling import Tell, Telling
from gimbal.axis.traces.service import arrived
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.storage.blobs import Blobs
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, NotFound
from gimbal.kernel.refs import AtVersion, Ref

Step = Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]]


async def begin(ctx: Context, body: FromTraces) -> SuiteDraw:
    """Enqueue the making of a suite. Raise BadInput, NotFound for what cannot be meant; then nothing is enqueued."""
    Drawing(ctx, body, Telling(_nobody))
    newest = await _newest(ctx, body)
    # The worker would not know of traces that are on their way into this process.
    await arrived(ctx)
    ctx.audit(suite=body.name)
    job = await ctx.get(Jobs).enqueue(ctx, JOB, RunFromTraces(body=body))
    return SuiteDraw(newest=None if newest is None else newest.ref, job_id=job.id)


async def _nobody(done: int, total: int, message: str) -> None:
    """Tell nobody."""


async def carry_out(ctx: Context, payload: RunFromTraces, step: Step, tell: Tell) -> BuiltSuite:
    """Make a suite of traces, or tell what would come. Raise BadInput where no example comes.

    What a `step` has stored is not drawn again: traces and scores that came meanwhile would make it another suite.
    """
    body, telling = payload.body, Telling(tell)
    if body.dry_run:
        drawing = Drawing(ctx, body, telling)
        told = await drawing.run(await _present(ctx, body, await _newest(ctx, body)))
        return msgspec.structs.replace(told, samples=_samples(drawing.examples))
    drawn = msgspec.convert(await step("draw", lambda: _drawn(ctx, body, telling)), DrawnSuite)
    examples = decode_examples(await ctx.get(Blobs).get(drawn.examples))
    version = await _store(ctx, body, drawn, examples)
    return msgspec.structs.replace(drawn.told, ref=version.ref, samples=_samples(examples))


async def _newest(ctx: Context, body: FromTraces) -> Version | None:
    """Return the newest version of the suite, None where there is none; raise BadInput where it has to have one."""
    ref = Ref.parse(body.name, kind="suite")
    if ref != Ref("suite", ref.name):
        raise BadInput(f"{body.name!r} is no name of a suite.", where="name", todo="Write it like help/real.")
    try:
        newest = await ctx.get(Assets).resolve(ctx, ref)
    except NotFound:
        if body.add:
            raise
        newest = None
    if body.add and (body.scorers or body.task or body.repeats is not None):
        raise BadInput(
            "Scorers, repeats and task stay as they are where examples are added.",
            where="add",
            todo="Leave them out, or leave out `add`.",
        )
    if newest is None and not body.scorers and not body.dry_run:
        raise BadInput("A new suite needs a scorer.", where="scorers", todo='Name one: ["exact_match"].')
    return newest


async def _present(ctx: Context, body: FromTraces, newest: Version | None) -> Sequence[Example]:
    """Return the examples that are not to be drawn again."""
    return await ctx.get(Suites).examples(newest) if body.add and newest is not None else []


async def _drawn(ctx: Context, body: FromTraces, telling: Telling) -> DrawnSuite:
    """Draw a suite and keep its examples; raise BadInput where there is none."""
    newest = await _newest(ctx, body)
    drawing = Drawing(ctx, body, telling)
    told = await drawing.run(await _present(ctx, body, newest))
    if not told.examples:
        raise BadInput(
            f"No example came of {told.looked_at:,} traces{_reasons(told.dropped)}.",
            where="traces",
            kept="nothing was stored",
            todo="Ask for other traces or another span; `dry_run` tells what would come.",
        )
    before = newest.manifest if newest is not None else {}
    suite = CreateSuite(
        name=body.name,
        examples=[],
        scorers=body.scorers or (scorers_of(newest) if newest is not None else []),
        repeats=body.repeats or int(before.get("repeats", 1)),
        task=body.task or str(before.get("task", "")),
        note=body.note or f"{told.examples:,} of {told.looked_at:,} traces",
    )
    # The catalog is not made for examples; that a step names the blob keeps it.
    blob = await ctx.get(Blobs).put(encode_examples(drawing.examples))
    return DrawnSuite(suite=suite, examples=blob.digest, made=drawing.made(told), told=told)


async def _store(ctx: Context, body: FromTraces, drawn: DrawnSuite, examples: list[Example]) -> Version:
    """Store what was drawn, or find it where an earlier attempt has stored it."""
    suites, suite = ctx.get(Suites), drawn.suite
    if not body.add:
        return await suites.create(ctx, msgspec.structs.replace(suite, examples=examples), made=drawn.made)
    ref = Ref.parse(body.name, kind="suite")
    try:
        return await suites.add(ctx, ref, AddExamples(examples=examples, note=suite.note), made=drawn.made)
    except BadInput:
        there = await _added(ctx, ref, {one.id for one in examples})
        if there is None:
            raise
        return there


async def _added(ctx: Context, ref: Ref, ids: set[str]) -> Version | None:
    """Return the first version of a suite that has all of these examples; None where the newest has not."""
    assets, suites = ctx.get(Assets), ctx.get(Suites)
    found: Version | None = None
    version = await assets.resolve(ctx, ref)
    while ids <= {one.id for one in await suites.examples(version)}:
        found = version
        if version.number == 1:
            break
        version = await assets.resolve(ctx, Ref(ref.kind, ref.name, AtVersion(version.number - 1)))
    return found


def _samples(examples: Sequence[Example]) -> list[Example]:
    """Return the first examples, as far as there is room."""
    found: list[Example] = []
    room = MOST_SAMPLED
    for one in examples[:MOST_SAMPLES]:
        size = len(msgspec.json.encode(one))
        if size <= room:
            found.append(one)
            room -= size
    return found


def _reasons(dropped: Mapping[str, int]) -> str:
    return ": " + ", ".join(f"{count:,} {reason}" for reason, count in dropped.items()) if dropped else ""
