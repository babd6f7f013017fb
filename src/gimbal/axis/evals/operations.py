"""The operations on suites and evaluation runs."""

from typing import Annotated

from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals import functions
from gimbal.axis.evals.answers import OpenEvaluation, RecordAnswers
from gimbal.axis.evals.comparing import compare_runs
from gimbal.axis.evals.functions import RegisterFunction
from gimbal.axis.evals.model import (
    AddExamples,
    CreateSuite,
    EvaluationPlan,
    EvaluationResult,
    EvaluationRun,
    Example,
    ResumeEvaluation,
    StartEvaluation,
)
from gimbal.axis.evals.recording import AnswerRecorder
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.suites import Suites
from gimbal.axis.evals.verdicts import Comparison
from gimbal.engines.compute.jobs import Jobs
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import describe, operation
from gimbal.kernel.pages import Page
from gimbal.kernel.refs import Ref

describe("evaluations", "Versions put through suites, and paired comparisons of two.")
describe("functions", "Code of programs outside, as versions that answers can be of.")
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
    """Put a version through a suite, as a job; follow it with evaluations.show. What it would cost says evaluations.plan."""
    return await ctx.get(Evaluations).start(ctx, body, ctx.get(Jobs))


@operation("POST", "/projects/{project}/evaluations/plan", name="evaluations.plan", allow=Permission.VIEW)
async def plan_evaluation(ctx: Context, project: str, body: StartEvaluation) -> EvaluationPlan:
    """Tell what an evaluation would ask and cost, and what it could find, without asking anything."""
    return await ctx.get(Evaluations).plan(ctx, body)


@operation("POST", "/projects/{project}/functions", name="functions.register", allow=Permission.DEVELOP)
async def register_function(ctx: Context, project: str, body: RegisterFunction) -> Version:
    """Store a function of a program outside as a version; its code is kept and never run. The same again is the same version."""
    return await functions.register(ctx, body)


@operation("POST", "/projects/{project}/evaluations/open", name="evaluations.open", allow=Permission.DEVELOP)
async def open_evaluation(ctx: Context, project: str, body: OpenEvaluation) -> EvaluationRun:
    """Begin an evaluation whose answers come from outside: evaluations.record takes them, evaluations.finish judges them."""
    return await ctx.get(AnswerRecorder).open(ctx, body)


@operation("PUT", "/projects/{project}/evaluations/{id}/answers", name="evaluations.record", allow=Permission.DEVELOP)
async def record_answers(ctx: Context, project: str, id: str, body: RecordAnswers) -> EvaluationRun:  # noqa: A002 - the name in the path
    """Store answers of an open evaluation, all or none; the same example and repeat again is replaced."""
    return await ctx.get(AnswerRecorder).record(ctx, id, body)


@operation("POST", "/projects/{project}/evaluations/{id}/finish", name="evaluations.finish", allow=Permission.DEVELOP)
async def finish_evaluation(ctx: Context, project: str, id: str) -> EvaluationRun:  # noqa: A002 - as above
    """Judge the answers of an open evaluation, as a job; what nobody answered is missing, and never dropped."""
    return await ctx.get(AnswerRecorder).finish(ctx, id, ctx.get(Jobs))


@operation("POST", "/projects/{project}/evaluations/{id}/cancel", name="evaluations.cancel", allow=Permission.DEVELOP)
async def cancel_evaluation(ctx: Context, project: str, id: str) -> EvaluationRun:  # noqa: A002 - the name in the path
    """Stop an evaluation that runs; what it has found stays."""
    return await ctx.get(Evaluations).cancel(ctx, id, ctx.get(Jobs))


@operation("POST", "/projects/{project}/evaluations/{id}/resume", name="evaluations.resume", allow=Permission.DEVELOP)
async def resume_evaluation(ctx: Context, project: str, id: str, body: ResumeEvaluation) -> EvaluationRun:  # noqa: A002 - as above
    """Go on with an evaluation that failed, was cancelled or stopped at its cap; what is stored is not asked again."""
    return await ctx.get(Evaluations).resume(ctx, id, body, ctx.get(Jobs))


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
    return await ctx.get(Evaluations).runs.page(ctx, suite=suite, subject=subject, cursor=cursor, limit=limit)


@operation("GET", "/projects/{project}/evaluations/{id}", name="evaluations.show", allow=Permission.VIEW)
async def show_evaluation(ctx: Context, project: str, id: str) -> EvaluationRun:  # noqa: A002 - the name in the path
    """Show an evaluation run with its estimates."""
    return await ctx.get(Evaluations).runs.get(ctx, id)


@operation("GET", "/projects/{project}/evaluations/{id}/results", name="evaluations.results", allow=Permission.VIEW)
async def evaluation_results(
    ctx: Context,
    project: str,
    id: str,  # noqa: A002 - as above
    only: Annotated[str, "`missing`, `failed` or `below` (with a scorer: less than its best value)."] = "",
    scorer: Annotated[str, "Of which scorer `only` and `order` speak; empty for any."] = "",
    order: Annotated[str, "`suite`, or `worst` first; answers without a value come before all others."] = "suite",
    cursor: str | None = None,
    limit: int = 50,
) -> Page[EvaluationResult]:
    """List what came of each example, in the order of the suite or the worst first."""
    evaluations = ctx.get(Evaluations)
    run = await evaluations.runs.get(ctx, id)
    return await evaluations.results_page(ctx, run, scorer=scorer, only=only, order=order, cursor=cursor, limit=limit)


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
