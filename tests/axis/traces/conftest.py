"""Traces over chDB behind a writer that does not wait for company; each test has a project of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.served import serve
from tests.sqlite import catalog_address  # noqa: F401 - a fixture

import gimbal.axis.scores.dialect
import gimbal.axis.scores.operations
import gimbal.axis.traces.dialect
import gimbal.axis.traces.operations
import gimbal.axis.traces.pages
import gimbal.axis.traces.redaction.operations
import gimbal.axis.traces.redaction.pages  # noqa: F401 - fill the tables
from gimbal.axis.pricing.service import PriceBook
from gimbal.axis.projects.model import CreateProject
from gimbal.axis.projects.service import Projects
from gimbal.axis.scores.service import Scores
from gimbal.axis.traces.judgements import Judgements
from gimbal.axis.traces.policies import SamplingPolicies
from gimbal.axis.traces.redaction.policies import Redactions
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.clock import Clock
from gimbal.kernel.context import Context, Principal, Services
from gimbal.kernel.counters import Counters
from gimbal.kernel.ids import new_id
from gimbal.kernel.operations import ProjectGuard
from gimbal.kernel.settings import RedactionSettings, Settings, WriterSettings


@pytest.fixture
async def writer(columns: Columns) -> AsyncIterator[Writer]:
    """Give a writer that commits at once."""
    found = Writer(columns, WriterSettings(eager_rows=1, max_wait_ms=1))
    found.start()
    yield found
    await found.close()


@pytest.fixture
def traces(services: Services, columns: Columns, blobs: Blobs, writer: Writer, catalog: Catalog) -> Traces:
    """Give the traces of an installation, and put at hand what taking spans in needs."""
    found = Traces(columns, writer, PriceBook.read())
    services.register(Settings, Settings())
    services.register(Columns, columns)
    services.register(Blobs, blobs)
    services.register(Writer, writer)
    services.register(Traces, found)
    services.register(SamplingPolicies, SamplingPolicies(catalog, services.get(Clock)))
    services.register(Redactions, Redactions(catalog, RedactionSettings()))
    services.register(PriceBook, PriceBook.read())
    scores = Scores(columns, writer)
    services.register(Scores, scores)
    services.register(Judgements, scores)
    return found


@pytest.fixture
def here(services: Services, owner: Principal) -> Context:
    """Give a context in a project that no other test writes to."""
    return Context(services, owner, f"t{new_id()[-12:]}")


@pytest.fixture
async def projects(here: Context, services: Services, catalog: Catalog) -> Projects:
    """Give the projects of an installation that has the test's own."""
    found = Projects(catalog, services.get(Clock))
    await found.ensure_default()
    await found.create(here.within(None), CreateProject(slug=str(here.project)))
    services.register(Projects, found)
    services.register(ProjectGuard, found)
    return found


@pytest.fixture
async def site(
    traces: Traces, here: Context, services: Services, projects: Projects, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of the real application; requests mean the test's project."""
    async with (
        serve(services, tmp_path / "cache") as url,
        httpx.AsyncClient(base_url=url, headers={"x-gimbal-project": str(here.project)}, timeout=30) as client,
    ):
        yield client


@pytest.fixture
async def policies(traces: Traces, here: Context, projects: Projects) -> SamplingPolicies:
    """Give the sampling policies of an installation that has the test's project."""
    return here.get(SamplingPolicies)


@pytest.fixture
def counters(services: Services) -> Counters:
    """Give counters that start at nothing."""
    found = Counters()
    services.register(Counters, found)
    return found
