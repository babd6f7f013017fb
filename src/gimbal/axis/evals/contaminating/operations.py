"""The operation that compares a suite with what models may have seen of it."""

from gimbal.axis.evals.contaminating.model import CheckContamination, ContaminationCheck
from gimbal.axis.evals.contaminating.service import begin
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import operation
from gimbal.kernel.refs import Ref


@operation(
    "POST",
    "/projects/{project}/suites/{ref}/contamination",
    name="suites.contamination",
    allow=Permission.DEVELOP,
    audited=True,
    absent={
        "cli": "`gimbal suites contamination` of the group's own commands waits for it, and exits with 1 where it finds"
    },
)
async def suite_contamination(ctx: Context, project: str, ref: Ref, body: CheckContamination) -> ContaminationCheck:
    """Compare a suite's examples with other suites, prompts and datasets: the same, nearly the same, or standing in them.

    Also within the suite: examples that repeat another, and clusters that should be one. It is a job, whose result is the
    report; what cannot be read is told in it.
    """
    return await begin(ctx, ref, body)
