"""What can be done with optimisations from outside: plan, start, follow and stop them."""

from typing import Annotated

from gimbal.engines.compute.jobs import Jobs
from gimbal.generative.gateway.optimising.model import Candidate, Optimisation, OptimisationPlan, OptimisePrompt
from gimbal.generative.gateway.optimising.service import Optimisations
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.pages import Page
from gimbal.kernel.refs import Ref

describe("optimisations", "Searches for better versions of prompts, each with the proof of what it found.")
_SHOWN = "`gimbal prompts optimise` shows the plan, asks, and follows the search to its end"


@operation(
    "POST",
    "/projects/{project}/prompts/{ref}/optimise/plan",
    name="prompts.optimise-plan",
    allow=Permission.VIEW,
    absent={"cli": _SHOWN},
)
async def plan_optimisation(ctx: Context, project: str, ref: Ref, body: OptimisePrompt) -> OptimisationPlan:
    """Tell what an optimisation would ask and cost, and what it could find, without asking anything."""
    return await ctx.get(Optimisations).plan(ctx, ref, body)


@operation(
    "POST",
    "/projects/{project}/prompts/{ref}/optimise",
    name="prompts.optimise",
    allow=Permission.DEVELOP,
    audited=True,
    absent={"cli": _SHOWN},
)
async def optimise_prompt(ctx: Context, project: str, ref: Ref, body: OptimisePrompt) -> Optimisation:
    """Search for a better version of a prompt by a suite, as a job; follow it with optimisations.show.

    Candidates are made and chosen on one part of the suite. The best of them is compared with the start on the other, and
    becomes a version unless it is worse; the alias `candidate` moves to it when it is better.
    """
    found = await ctx.get(Optimisations).start(ctx, ref, body, ctx.get(Jobs))
    ctx.audit(optimisation=found.id, start=str(found.start), suite=str(found.suite))
    return found


@operation("GET", "/projects/{project}/optimisations", name="optimisations.list", allow=Permission.VIEW)
async def list_optimisations(
    ctx: Context,
    project: str,
    prompt: Annotated[str | None, "Only of this prompt: `prompt:help/answer` or with `@v2`."] = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[Optimisation]:
    """List optimisations, newest first."""
    return await ctx.get(Optimisations).page(ctx, prompt=prompt, cursor=cursor, limit=limit)


@operation("GET", "/projects/{project}/optimisations/{id}", name="optimisations.show", allow=Permission.VIEW)
async def show_optimisation(ctx: Context, project: str, id: str) -> Optimisation:  # noqa: A002 - the name in the path
    """Show an optimisation: how far it is, what it spent, and the proof of its winner."""
    return await ctx.get(Optimisations).get(ctx, id)


@operation(
    "GET", "/projects/{project}/optimisations/{id}/candidates", name="optimisations.candidates", allow=Permission.VIEW
)
async def optimisation_candidates(ctx: Context, project: str, id: str) -> list[Candidate]:  # noqa: A002 - as above
    """List the candidates of an optimisation with their marks on the training part, as they were found."""
    return await ctx.get(Optimisations).candidates(ctx, id)


@operation(
    "POST", "/projects/{project}/optimisations/{id}/cancel", name="optimisations.cancel", allow=Permission.DEVELOP
)
async def cancel_optimisation(ctx: Context, project: str, id: str) -> Optimisation:  # noqa: A002 - as above
    """Stop an optimisation that runs; its candidates stay, and none becomes a version."""
    return await ctx.get(Optimisations).cancel(ctx, id, ctx.get(Jobs))
