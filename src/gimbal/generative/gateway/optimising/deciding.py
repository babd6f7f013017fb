"""What becomes of the winner: compared with the start on the held-out part, stored where it is not worse, never released.

The comparison is the house's: paired by example, clustered, ending in one of four verdicts.
"""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

import gimbal.axis.assets.operations  # noqa: F401  # pyright: ignore[reportUnusedImport] - declares the move of an alias
from gimbal.axis.assets.model import FileEntry, MoveAlias, Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.comparing import compare_scorer
from gimbal.axis.evals.model import EvaluationResult, Example
from gimbal.engines.stats import estimates, paired
from gimbal.engines.storage.blobs import Blobs
from gimbal.generative.gateway.optimising.candidates import Made
from gimbal.generative.gateway.optimising.marking import Objective
from gimbal.generative.gateway.optimising.model import CANDIDATE, MarkComparison, Optimisation, Proof
from gimbal.generative.prompts.changes import changes, text_diff
from gimbal.generative.prompts.files import SUFFIX
from gimbal.generative.prompts.model import SOURCE
from gimbal.kernel.context import Context
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.operations import find, invoke
from gimbal.kernel.refs import Ref

_LONGEST_NAME = 200


async def proved(
    objective: Objective,
    margin: float,
    examples: Mapping[str, Example],
    before: Sequence[EvaluationResult],
    after: Sequence[EvaluationResult],
    made: tuple[Made, Made],
) -> Proof:
    """Return what the held-out part says of two prompts."""
    mark = _mark(objective, margin, examples, before, after)
    # In a thread: with many examples this takes a second or more.
    rows = await asyncio.to_thread(lambda: [compare_scorer(one, before, after, margin) for one in objective.scorers])
    worse = any(row.verdict == "worse" for row in rows)
    start, winner = made
    text = await asyncio.to_thread(text_diff, start.text, winner.text, f"prompt{SUFFIX}")
    return Proof(
        verdict="worse" if worse else mark.verdict,
        mark=mark,
        scorers=rows,
        changes=changes(start.manifest, winner.manifest),
        text=text,
    )


def _mark(
    objective: Objective,
    margin: float,
    examples: Mapping[str, Example],
    before: Sequence[EvaluationResult],
    after: Sequence[EvaluationResult],
) -> MarkComparison:
    left, right = objective.by_example(before), objective.by_example(after)
    shared = [name for name in left if name in right]
    a, b = [left[name] for name in shared], [right[name] for name in shared]
    clusters = [examples[name].cluster or name for name in shared]
    weights = [examples[name].weight for name in shared]
    outcome = paired.compare(a, b, clusters, weights=weights, margin=margin)
    return MarkComparison(
        scorer=" + ".join(mark.scorer for mark in objective.marks)[:_LONGEST_NAME],
        before=estimates.weighted_mean(a, weights, clusters),
        after=estimates.weighted_mean(b, weights, clusters),
        difference=outcome.difference,
        verdict=outcome.verdict,
        p_value=outcome.p_value,
        detectable=outcome.detectable,
        paired=len(shared),
        unpaired=len(left.keys() ^ right.keys()),
    )


async def store(ctx: Context, of: Optimisation, start: Version, made: Made, proof: Proof) -> Version:
    """Store the winner as a version of the prompt, made from the start and the suite; raise the GimbalError of what failed."""
    content = made.text.encode()
    included = {one.ref for one in made.manifest.includes}
    blob = await ctx.get(Blobs).put(content)
    methods = " and ".join(one.replace("_", "-") for one in of.options.methods)
    difference = proof.mark.difference
    found = "" if difference.value is None else f" by {difference.value:+.3f}"
    if difference.low is not None and difference.high is not None:
        found += f" [{difference.low:+.3f}, {difference.high:+.3f}]"
    version = await ctx.get(Assets).add_version(
        ctx,
        kind="prompt",
        name=start.name,
        manifest=msgspec.to_builtins(made.manifest),
        files=[FileEntry(path=SOURCE, digest=blob.digest, size=blob.size, media_type="text/markdown")],
        inputs=[start.ref, of.suite, *(ref for ref in start.inputs if str(ref) in included)],
        note=f"Found by optimisation {of.id} ({methods}) from v{start.number} on {of.suite}: {proof.verdict}{found} "
        f"on {proof.mark.paired} held-out examples.",
    )
    # Events of the new version go out now; nobody else ends this context before the job does.
    await ctx.settle()
    return version


async def offer(ctx: Context, of: Optimisation, version: Version) -> str:
    """Let `candidate` stand on the winner by the operation that everybody moves aliases with; return what became of it.

    Where a gate guards the alias, or whoever asked may not move it, it stays where it is.
    """
    body = MoveAlias(to=f"v{version.number}", reason=f"optimisation {of.id}: better on {of.suite}")
    given = {
        "project": ctx.project or "default",
        "ref": Ref("prompt", version.name),
        "alias": CANDIDATE,
        "body": body,
    }
    try:
        await invoke(find("assets.move-alias"), ctx, given)
    except GimbalError as problem:
        return f"{CANDIDATE} stays where it is: {problem}"
    return f"{CANDIDATE} stands on v{version.number}"
