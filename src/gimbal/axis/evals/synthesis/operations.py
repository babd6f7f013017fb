"""The operation that has a suite written by a model."""

from gimbal.axis.evals.synthesis.model import Synthesis, Synthesise
from gimbal.axis.evals.synthesis.service import begin
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import operation


@operation(
    "POST",
    "/projects/{project}/suites/synthesise",
    name="suites.synthesise",
    allow=Permission.DEVELOP,
    audited=True,
    absent={"cli": "`gimbal suites synthesise` of the group's own commands reads files and calls it"},
)
async def synthesise_suite(ctx: Context, project: str, body: Synthesise) -> Synthesis:
    """Have a model write a suite from passages, as a job; `dry` tells what it would cost and asks nothing.

    Each example says who wrote it from what; its quoted evidence stands word for word in its passage. The job's result says
    what was dropped and why. The passages are sent to the model as they are.
    """
    return await begin(ctx, body)
