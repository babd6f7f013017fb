"""The operations on suites and evaluation runs."""

from typing import Annotated

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.comparing import compare_runs
from gimbal.axis.evals.model import (
    AddExamples,
    Comparison,
    CreateSuite,
    EvaluationResult,
    EvaluationRun,
    Example,
    StartEvaluation,
)
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.suites import Suites
from gimbal.engines.compute.jobs import Jobs
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.pages import Page
from gimbal.kernel.refs import Ref

describe("evaluations", "Versions put through suites, and paired comparisons of two.")
describe("suites", "Examples with the scorers that judge answers to them.")


@operation("POST", "/projects/{project}/suites", name="suites.create", allow=Permission.DEVELOP, audited=True)
async def create_suite(ctx: Context, project: str, body: CreateSuite) -> Version:
    """Store a suite of examples as a version; the same examples again are the same version."""
    return await ctx.get(Suites).create(ctx, body)


@operation(
    "POST", "/projects/{project}/suites/{ref}/examples", name="suites.add", allow=Permission.DEVELOP, audited=True
)
async def add_examples(ctx: Context, project: str, ref: Ref, body: AddExamples) -> Version:
    """Add examples to the newest version of a suite, which makes its next version; scorers stay."""
    return await ctx.get(Suites).add(ctx, ref, body)


@operation("GET", "/projects/{project}/suites/{ref}/examples", name="suites.examples", allow=Permission.VIEW)
async def suite_examples(ctx: Context, project: str, ref: Ref) -> list[Example]:
    """List the examples of a suite version."""
    return await ctx.get(Suites).examples(await ctx.get(Assets).resolve(ctx, ref))


@operation("POST", "/projects/{project}/evaluations", name="evaluations.start", allow=Permission.DEVELOP)
async def start_evaluation(ctx: Context, project: str, body: StartEvaluation) -> EvaluationRun:
    """Put a version through a suite, as a job; follow it with evaluations.show."""
    return await ctx.get(Evaluations).start(ctx, body, ctx.get(Jobs))


@operation("GET", "/projects/{project}/evaluations", name="evaluations.list", allow=Permission.VIEW)
async def list_evaluations(
    ctx: Context,
    project: str,
    suite: Annotated[str | None, "Only on this suite: `suite:help/questions` or with `@v1`."] = None,
    subject: Annotated[str | None, "Only of this subject: `prompt:help/answer` or with `@v2`."] = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[EvaluationRun]:
    """List evaluation runs, newest first."""
    return await ctx.get(Evaluations).page(ctx, suite=suite, subject=subject, cursor=cursor, limit=limit)


@operation("GET", "/projects/{project}/evaluations/{id}", name="evaluations.show", allow=Permission.VIEW)
async def show_evaluation(ctx: Context, project: str, id: str) -> EvaluationRun:  # noqa: A002 - the name in the path
    """Show an evaluation run with its estimates."""
    return await ctx.get(Evaluations).get(ctx, id)


@operation("GET", "/projects/{project}/evaluations/{id}/results", name="evaluations.results", allow=Permission.VIEW)
async def evaluation_results(ctx: Context, project: str, id: str) -> list[EvaluationResult]:  # noqa: A002 - as above
    """List what came of each example."""
    return await ctx.get(Evaluations).results(ctx, id)


@operation("GET", "/projects/{project}/evaluations/{id}/compare", name="evaluations.compare", allow=Permission.VIEW)
async def compare_evaluations(
    ctx: Context,
    project: str,
    id: str,  # noqa: A002 - as above
    to: Annotated[str, "Id of the other run, on the same suite."],
    margin: Annotated[float, "Differences within ± this are equivalent."] = 0.02,
) -> Comparison:
    """Compare two runs example by example: `to` against `id`."""
    return await compare_runs(ctx, ctx.get(Evaluations), id, to, margin)
