"""The check over SQLite, chDB and blobs in a folder."""

from typing import Any

import msgspec
import pytest
from tests.axis.evaluating import answers, evaluations
from tests.sqlite import catalog_address

import gimbal.axis.evals.contaminating.operations
import gimbal.axis.evals.contaminating.work
import gimbal.axis.jobs.operations  # noqa: F401 - fill the tables of operations and jobs
from gimbal.axis.assets.service import Assets
from gimbal.axis.datasets.service import Datasets
from gimbal.axis.evals.contaminating.model import (
    CheckContamination,
    ContaminationCheck,
    ContaminationReport,
    RunContamination,
)
from gimbal.axis.evals.contaminating.service import carry_out
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.storage.blobs import Blobs
from gimbal.kernel.context import Context, Services
from gimbal.kernel.operations import find, invoke
from gimbal.kernel.refs import Ref

__all__ = ["answers", "begun", "carried", "catalog_address", "checked", "evaluations"]


async def begun(ctx: Context, suite: str = "suite:help/questions", **body: Any) -> ContaminationCheck:
    """Ask for a check, as a job."""
    given = {"project": ctx.project, "ref": Ref.parse(suite), "body": CheckContamination(**body)}
    return await invoke(find("suites.contamination"), ctx, given)


async def carried(
    ctx: Context, check: ContaminationCheck, told: list[tuple[int, int, str]] | None = None
) -> ContaminationReport:
    """Carry a check out here and now, by what its job was given; `told` gets how far it is."""

    async def tell(done: int, total: int, message: str) -> None:
        if told is not None:
            told.append((done, total, message))

    job = await ctx.get(Jobs).get(ctx, check.job_id)
    return await carry_out(ctx, msgspec.convert(job.payload, RunContamination), tell)


async def checked(ctx: Context, suite: str = "suite:help/questions", **body: Any) -> ContaminationReport:
    """Return the report of a check."""
    return await carried(ctx, await begun(ctx, suite, **body))


@pytest.fixture
def datasets(axis: Services) -> Datasets:
    """Give the datasets of an installation."""
    return Datasets(axis.get(Assets), axis.get(Blobs))
