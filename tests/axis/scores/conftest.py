"""Scores over chDB; the catalog is SQLite, because nothing of a score is in it."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.served import serve
from tests.sqlite import catalog_address

import gimbal.axis.scores.dialect
import gimbal.axis.scores.operations
import gimbal.axis.traces.dialect
import gimbal.axis.traces.operations
import gimbal.axis.traces.pages  # noqa: F401 - fill the tables
from gimbal.axis.pricing.service import PriceBook
from gimbal.axis.projects.model import CreateProject
from gimbal.axis.projects.service import Projects
from gimbal.axis.scores.service import Scores
from gimbal.axis.traces.judgements import Judgements
from gimbal.axis.traces.policies import SamplingPolicies
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.clock import Clock
from gimbal.kernel.context import Context, Services
from gimbal.kernel.ids import new_id

__all__ = ["catalog_address"]


@pytest.fixture
def scores(axis: Services) -> Scores:
    """Give the scores of an installation."""
    found = Scores(axis.get(Columns), axis.get(Writer))
    axis.register(Scores, found)
    axis.register(Judgements, found)
    return found


@pytest.fixture
async def here(axis: Services, ctx: Context) -> Context:
    """Give a context in a project that no other test writes to."""
    slug = f"s{new_id()[-12:]}"
    await axis.get(Projects).create(ctx.within(None), CreateProject(slug=slug))
    return ctx.within(slug)


@pytest.fixture
def traces(axis: Services) -> Traces:
    """Give the traces of an installation."""
    found = Traces(axis.get(Columns), axis.get(Writer), PriceBook.read())
    axis.register(Traces, found)
    axis.register(PriceBook, PriceBook.read())
    axis.register(SamplingPolicies, SamplingPolicies(axis.get(Catalog), axis.get(Clock)))
    return found


@pytest.fixture
async def site(
    axis: Services, scores: Scores, traces: Traces, here: Context, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of the real application; requests mean the test's project."""
    async with (
        serve(axis, tmp_path / "cache") as url,
        httpx.AsyncClient(base_url=url, headers={"x-gimbal-project": str(here.project)}, timeout=30) as client,
    ):
        yield client
