"""What the rooms of the axis stand on: projects and assets over a real catalog, chDB behind the writer, settings."""

from collections.abc import AsyncIterator

import pytest

from gimbal.axis.assets.lineage import LineageQuery
from gimbal.axis.assets.service import Assets
from gimbal.axis.projects.audit import AuditLog
from gimbal.axis.projects.model import CreateProject
from gimbal.axis.projects.service import Projects
from gimbal.axis.traces.redaction.policies import Redactions
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.context import Context, Services
from gimbal.kernel.operations import AuditTrail, ProjectGuard
from gimbal.kernel.settings import RedactionSettings, Settings
from gimbal.testing.clock import FrozenClock


@pytest.fixture
async def writer(columns: Columns) -> AsyncIterator[Writer]:
    """Give a writer into the columns that is drained after the test."""
    found = Writer(columns, Settings().writer)
    found.start()
    yield found
    await found.close()


@pytest.fixture
async def axis(
    catalog: Catalog,
    columns: Columns,
    blobs: Blobs,
    writer: Writer,
    services: Services,
    clock: FrozenClock,
    ctx: Context,
) -> Services:
    """Fill the services with stores, projects (`default` and `flights`) and assets."""
    projects = Projects(catalog, clock)
    await projects.ensure_default()
    await projects.create(ctx, CreateProject(slug="flights"))
    audit, assets = AuditLog(catalog), Assets(catalog, blobs)
    services.register(Settings, Settings())
    services.register(Catalog, catalog)
    services.register(Columns, columns)
    services.register(Blobs, blobs)
    services.register(Writer, writer)
    services.register(Projects, projects)
    services.register(ProjectGuard, projects)
    services.register(Redactions, Redactions(catalog, RedactionSettings()))
    services.register(AuditTrail, audit)
    services.register(AuditLog, audit)
    services.register(Assets, assets)
    services.register(LineageQuery, LineageQuery(catalog, assets))
    return services
