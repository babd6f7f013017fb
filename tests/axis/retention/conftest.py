"""Retention over real stores: a project of its own for each test, and a clock that stands in the spring of 2026."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.axis.traces.conftest import traces, writer  # noqa: F401 - fixtures

import gimbal.axis.retention.operations
import gimbal.axis.retention.work  # noqa: F401 - fill the tables
from gimbal.axis.projects.audit import AuditLog
from gimbal.axis.projects.model import CreateProject
from gimbal.axis.projects.service import Projects
from gimbal.axis.retention.service import Retaining
from gimbal.axis.traces.service import Traces
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.compute.schedules import Schedules
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.context import Context, Principal, Services
from gimbal.kernel.ids import new_id
from gimbal.kernel.operations import AuditTrail
from gimbal.testing.clock import FrozenClock

NOW = datetime(2026, 5, 1, tzinfo=UTC)
Place = Callable[[], Awaitable[Context]]


@pytest.fixture
async def place(
    traces: Traces,  # noqa: F811
    services: Services,
    catalog: Catalog,
    columns: Columns,
    blobs: Blobs,
    clock: FrozenClock,
    owner: Principal,
) -> Place:
    """Give what makes projects to be in, with everything of retention at hand."""
    clock.move_to(NOW)
    projects, jobs = Projects(catalog, clock), Jobs(catalog, clock)
    for kind, one in (
        (Catalog, catalog), (Projects, projects), (AuditLog, AuditLog(catalog)), (AuditTrail, AuditLog(catalog)),
        (Jobs, jobs), (Schedules, Schedules(catalog, clock, jobs)),
        (Retaining, Retaining(catalog, columns, blobs, clock, grace_s=0, disk_s=0)),
    ):  # fmt: skip
        kinds: Any = kind
        services.register(kinds, one)
    await projects.ensure_default()

    async def make() -> Context:
        ctx = Context(services, owner, f"r{new_id()[-12:]}")
        await projects.create(ctx.within(None), CreateProject(slug=str(ctx.project)))
        return ctx

    return make


@pytest.fixture
async def here(place: Place) -> Context:
    """Give a context in a project of the test."""
    return await place()
