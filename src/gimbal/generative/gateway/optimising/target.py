"""The `Target` of candidates: prompts that are no versions yet, answered as prompts are.

Their calls name the start only where they are the start's: what is no version has no reference that a trace could keep.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gimbal.axis.assets.model import Version
from gimbal.axis.evals.model import Example
from gimbal.axis.evals.target import Foreseen, TargetOutput
from gimbal.generative.gateway.call import Attribution
from gimbal.generative.gateway.complete import complete
from gimbal.generative.gateway.foreseeing import foreseen
from gimbal.generative.gateway.prompting import query_of
from gimbal.generative.gateway.providers.reading import numbered
from gimbal.generative.gateway.target import Answered, messages_of, output_of, params_of, plain_of
from gimbal.generative.knowledge.model import Hit
from gimbal.generative.knowledge.service import Indexes
from gimbal.generative.prompts.model import PromptManifest, decode_manifest
from gimbal.kernel.clock import to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import DeadlineExceeded, GimbalError
from gimbal.kernel.refs import Ref, ResolvedRef

KIND = "candidate"
FEATURE = "optimisation"


class Filled(msgspec.Struct, frozen=True, kw_only=True):
    """The values that a prompt is filled with for one input, and what was retrieved for it."""

    values: dict[str, Any]
    hits: list[Hit]
    index: ResolvedRef | None
    """The version that was searched; None where the prompt does not retrieve."""


async def filled(ctx: Context, manifest: PromptManifest, inputs: Mapping[str, Any]) -> Filled:
    """Return the values of a prompt's variables for an input; raise the GimbalError of a retrieval that failed."""
    values = {name: value for name, value in inputs.items() if name in manifest.variables}
    setting = manifest.retrieval
    if setting is None:
        return Filled(values=values, hits=[], index=None)
    query = query_of(manifest, setting, values, "input")
    found = await ctx.get(Indexes).search(ctx, Ref.parse(setting.index, kind="index"), query, setting.k)
    values[setting.into] = numbered([(hit.source, hit.heading, hit.text) for hit in found.hits])
    return Filled(values=values, hits=found.hits, index=found.index)


class CandidateTarget:
    """Puts examples through prompts that are no versions yet."""

    async def foresee(self, ctx: Context, version: Version, examples: Sequence[Example]) -> Foreseen:
        """Tell what calls with such examples will cost."""
        return await foreseen(ctx, version, examples)

    async def __call__(self, ctx: Context, version: Version, example: Example) -> TargetOutput:
        """Answer one example; what goes wrong is in the output, because a failed call is missing, not wrong."""
        begun = to_us(ctx.now())
        try:
            return await _answered(ctx, version, example, begun)
        except GimbalError as problem:
            return TargetOutput(
                error=str(problem),
                failure="timed_out" if isinstance(problem, DeadlineExceeded) else "error",
                # What the provider takes a while to allow is asked again.
                retry_after_s=problem.retry_after,
                latency_ms=(to_us(ctx.now()) - begun) / 1000,
            )


async def _answered(ctx: Context, version: Version, example: Example, begun: int) -> TargetOutput:
    manifest = decode_manifest(version.manifest)
    given = await filled(ctx, manifest, example.input)
    sent = messages_of(manifest, given.values, example.input)
    found = await complete(
        ctx,
        model=manifest.model,
        messages=sent,
        params=params_of(manifest),
        attribution=Attribution(feature=FEATURE),
        refs=[
            *([msgspec.structs.replace(version.ref, kind="prompt")] if version.number else []),
            *([given.index] if given.index is not None else []),
        ],
    )
    # As prompts are told of: an evaluation of the version that this may become takes these answers as its own.
    retrieved = given.index is not None
    answered = Answered(
        text=found.text,
        plain=plain_of(found.text, sent, retrieved=retrieved),
        hits=given.hits,
        retrieved=retrieved,
        tools=bool(manifest.tools),
        completion=found,
        trace_id=found.trace_id,
    )
    return output_of(answered, (to_us(ctx.now()) - begun) / 1000)


CANDIDATES = CandidateTarget()
