"""The operation that makes suites of traces."""

from gimbal.axis.evals.building.model import FromTraces, SuiteDraw
from gimbal.axis.evals.building.service import begin
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import operation


@operation(
    "POST",
    "/projects/{project}/suites/from-traces",
    name="suites.from_traces",
    allow=Permission.DEVELOP,
    audited=True,
    absent={"cli": "`gimbal suites from-traces` of the group's own commands waits for it, and tells what it made"},
)
async def suite_from_traces(ctx: Context, project: str, body: FromTraces) -> SuiteDraw:
    """Make a suite of traces: chosen like a list of them, freed of personal data and duplicates, drawn by a seed.

    Scores choose, too: what end users or experts judged, with their corrections as expected answers. It is a job, whose
    result tells what came, or, with `dry_run`, what would. The same question with the same seed on the same traces is the
    same version.
    """
    return await begin(ctx, body)
