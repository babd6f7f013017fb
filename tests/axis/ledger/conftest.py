"""The ledger over traces: each test has a project of its own in the columns, and a price book that it can change."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.served import serve

import gimbal.axis.ledger.operations
import gimbal.axis.ledger.pages
import gimbal.axis.ledger.work
import gimbal.axis.traces.dialect
import gimbal.axis.traces.operations
import gimbal.axis.traces.pages  # noqa: F401 - fill the tables
from gimbal.axis.ledger.corrections import CostCorrections
from gimbal.axis.pricing.service import PriceBook, PriceSource
from gimbal.axis.projects.audit import AuditLog
from gimbal.axis.projects.model import CreateProject
from gimbal.axis.projects.service import Projects
from gimbal.axis.traces.corrections import Corrections
from gimbal.axis.traces.policies import SamplingPolicies
from gimbal.axis.traces.redaction.policies import Redactions
from gimbal.axis.traces.service import Traces
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.clock import Clock
from gimbal.kernel.context import Context, Principal, Services
from gimbal.kernel.counters import Counters
from gimbal.kernel.ids import new_id
from gimbal.kernel.operations import AuditTrail, ProjectGuard
from gimbal.kernel.settings import RedactionSettings, Settings, WriterSettings
from gimbal.testing.clock import FrozenClock


@pytest.fixture
async def writer(columns: Columns) -> AsyncIterator[Writer]:
    """Give a writer that commits at once."""
    found = Writer(columns, WriterSettings(eager_rows=1, max_wait_ms=1))
    found.start()
    yield found
    await found.close()


@pytest.fixture
async def ledger(
    services: Services,
    columns: Columns,
    blobs: Blobs,
    writer: Writer,
    catalog: Catalog,
    clock: FrozenClock,
    owner: Principal,
) -> Context:
    """Give a context in a project that no other test writes to, with all that the ledger stands on."""
    projects, audit = Projects(catalog, clock), AuditLog(catalog)
    await projects.ensure_default()
    ctx = Context(services, owner, f"l{new_id()[-12:]}")
    await projects.create(ctx.within(None), CreateProject(slug=str(ctx.project)))
    book = PriceBook.read()
    services.register(Settings, Settings())
    services.register(Catalog, catalog)
    services.register(Columns, columns)
    services.register(Blobs, blobs)
    services.register(Writer, writer)
    services.register(Counters, Counters())
    services.register(Projects, projects)
    services.register(ProjectGuard, projects)
    services.register(AuditTrail, audit)
    services.register(AuditLog, audit)
    services.register(Jobs, Jobs(catalog, clock))
    services.register(PriceSource, book)
    services.register(Traces, Traces(columns, writer, book))
    services.register(Corrections, CostCorrections())
    services.register(SamplingPolicies, SamplingPolicies(catalog, services.get(Clock)))
    services.register(Redactions, Redactions(catalog, RedactionSettings()))
    return ctx


@pytest.fixture
async def site(ledger: Context, services: Services, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of the real application."""
    async with serve(services, tmp_path / "cache") as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        yield client
