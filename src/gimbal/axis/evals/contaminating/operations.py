"""The operation that compares a suite with what models may have seen of it."""

from gimbal.axis.evals.contaminating.model import CheckContamination, ContaminationReport
from gimbal.axis.evals.contaminating.service import check
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.operations import operation
from gimbal.kernel.refs import Ref


@operation(
    "POST",
    "/projects/{project}/suites/{ref}/contamination",
    name="suites.contamination",
    allow=Permission.VIEW,
    absent={
        "cli": "`gimbal suites contamination` of the group's own commands calls it, and exits with 1 where it finds"
    },
)
async def suite_contamination(ctx: Context, project: str, ref: Ref, body: CheckContamination) -> ContaminationReport:
    """Compare a suite's examples with other suites, prompts and datasets: the same, nearly the same, or standing in them.

    Also within the suite: examples that repeat another, and clusters that should be one. What cannot be read is told.
    """
    return await check(ctx, ref, body)
