"""The operation that makes suites of traces."""

from gimbal.axis.evals.building.from_traces import build
from gimbal.axis.evals.building.model import BuiltSuite, FromTraces
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import operation


@operation(
    "POST", "/projects/{project}/suites/from-traces", name="suites.from_traces", allow=Permission.DEVELOP, audited=True
)
async def suite_from_traces(ctx: Context, project: str, body: FromTraces) -> BuiltSuite:
    """Make a suite of traces: chosen like a list of them, freed of personal data and duplicates, drawn by a seed.

    Scores choose, too: what end users or experts judged, with their corrections as expected answers. `dry_run` tells what
    would come. The same question with the same seed on the same traces is the same version.
    """
    return await build(ctx, body)
