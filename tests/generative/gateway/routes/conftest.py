"""What routes stand on: assets over a real catalog, health, prices, and a catalog that can be away."""

from collections.abc import AsyncIterator

import httpx
import pytest
from tests.upstreams import serve

from gimbal.axis.assets.service import Assets
from gimbal.axis.pricing.service import PriceBook, PriceSource
from gimbal.axis.projects.audit import AuditLog
from gimbal.axis.projects.service import Projects
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.faces.server.app import App
from gimbal.generative.gateway.resilience.health import Health
from gimbal.generative.gateway.routes import operations
from gimbal.generative.gateway.routes.service import Routes
from gimbal.kernel.clock import Clock, SystemClock
from gimbal.kernel.context import Context, Principal, Services
from gimbal.kernel.operations import AuditTrail, ProjectGuard
from gimbal.kernel.settings import Settings

# Importing it fills the table of operations.
ROOMS = (operations,)


class Ticks:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def ticks() -> Ticks:
    """Give the clock by which routes in memory grow old."""
    return Ticks()


@pytest.fixture
async def routing(services: Services, catalog: Catalog, blobs: Blobs, ticks: Ticks) -> Services:
    """Fill the services that routes need."""
    projects = Projects(catalog, SystemClock())
    await projects.ensure_default()
    for kind, service in (
        (Settings, Settings()),
        (Clock, SystemClock()),
        (Catalog, catalog),
        (Blobs, blobs),
        (PriceSource, PriceBook.read()),
        (Projects, projects),
        (ProjectGuard, projects),
        (AuditTrail, AuditLog(catalog)),
        (Assets, Assets(catalog, blobs)),
        (Health, Health()),
        (Routes, Routes(clock=ticks)),
    ):
        services.register(kind, service)
    return services


@pytest.fixture
def ctx(routing: Services, owner: Principal) -> Context:
    """Give a context of the owner."""
    return Context(routing, owner, "default")


@pytest.fixture
async def base_url(routing: Services) -> AsyncIterator[str]:
    """Serve the operations on a loopback port."""
    async with serve(App(routing, routing.get(Settings))) as url:
        yield url


@pytest.fixture
async def http(base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Give a plain HTTP client for them."""
    async with httpx.AsyncClient(base_url=base_url, timeout=20) as client:
        yield client
