"""A gateway as it really stands: the server's application over a real catalog, chDB, blobs and a loopback upstream."""

from collections.abc import AsyncIterator

import httpx
import pytest
from tests.sqlite import catalog_address  # noqa: F401 - a fixture
from tests.upstreams import Upstream, serve

from gimbal.axis.assets.service import Assets
from gimbal.axis.pricing.service import PriceBook, PriceSource
from gimbal.axis.projects.audit import AuditLog
from gimbal.axis.projects.service import Projects
from gimbal.axis.traces.redaction.policies import Redactions
from gimbal.axis.traces.service import Traces
from gimbal.engines.http.choose import ChoosingClient
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.faces.server.app import App
from gimbal.generative.gateway import dialect
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.generative.gateway.resilience.health import Health
from gimbal.generative.gateway.resilience.shadow import Shadows
from gimbal.generative.gateway.routes.service import Routes
from gimbal.generative.guards import operations as policy_operations
from gimbal.generative.guards.service import Policies
from gimbal.generative.knowledge import operations as index_operations
from gimbal.generative.knowledge.service import Indexes
from gimbal.generative.prompts import operations as prompt_operations
from gimbal.kernel.clock import Clock, SystemClock
from gimbal.kernel.context import Context, Principal, Services
from gimbal.kernel.operations import AuditTrail, ProjectGuard
from gimbal.kernel.settings import Settings
from gimbal.kernel.settings_gateway import GatewaySettings, ProviderSettings

# The rooms whose operations and routes are served here; importing them fills the tables.
ROOMS = (dialect, index_operations, policy_operations, prompt_operations)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """Give an upstream that speaks both wires; its address is `upstream.url`."""
    app = Upstream()
    async with serve(app) as url:
        app.url = url
        yield app
        app.release.set()


@pytest.fixture
async def providers(upstream: Upstream) -> AsyncIterator[Providers]:
    """Give `up` and `openai` (OpenAI's wire), `claude` and `anthropic` (Anthropic's), `gone` (nobody there) and `local`."""
    url = f"{upstream.url}/v1"
    given = (
        ProviderSettings(name="up", kind="openai", base_url=url, api_key_env="UP_KEY", timeout_s=5),
        ProviderSettings(name="openai", kind="openai", base_url=url, models=("gpt-4o-mini",), timeout_s=5),
        ProviderSettings(name="anthropic", kind="anthropic", base_url=url, api_key_env="UP_KEY", timeout_s=5),
        ProviderSettings(name="claude", kind="anthropic", base_url=url, api_key_env="UP_KEY", timeout_s=5),
        ProviderSettings(name="slow", kind="openai", base_url=url, models=("tiny",), timeout_s=0.2),
        ProviderSettings(name="gone", kind="openai", base_url="http://127.0.0.1:9/v1", timeout_s=1),
    )
    settings = GatewaySettings(providers=given)
    found = Providers(settings, ChoosingClient(), environ={"UP_KEY": "sk-upstream"})
    yield found
    await found.aclose()


@pytest.fixture
async def gateway(
    services: Services, catalog: Catalog, blobs: Blobs, columns: Columns, providers: Providers
) -> AsyncIterator[Services]:
    """Fill the services that a call needs."""
    settings = Settings()
    writer = Writer(columns, settings.writer)
    writer.start()
    prices = PriceBook.read()
    projects = Projects(catalog, SystemClock())
    await projects.ensure_default()
    for kind, service in (
        (Settings, settings),
        (Clock, SystemClock()),
        (Catalog, catalog),
        (Blobs, blobs),
        (Columns, columns),
        (Writer, writer),
        (PriceSource, prices),
        (Projects, projects),
        (ProjectGuard, projects),
        (AuditTrail, AuditLog(catalog)),
        (Assets, Assets(catalog, blobs)),
        (Redactions, Redactions(catalog, settings.redaction)),
        (Traces, Traces(columns, writer, prices)),
        (Indexes, Indexes()),
        (Providers, providers),
        (Health, Health()),
        (Policies, Policies()),
        (Routes, Routes()),
        (Shadows, Shadows()),
    ):
        services.register(kind, service)
    yield services
    await writer.close()


@pytest.fixture
def ctx(gateway: Services, owner: Principal) -> Context:
    """Give a context of the owner over the gateway's services."""
    return Context(gateway, owner, "default")


@pytest.fixture
async def base_url(gateway: Services) -> AsyncIterator[str]:
    """Serve the application on a loopback port."""
    async with serve(App(gateway, gateway.get(Settings))) as url:
        yield url


@pytest.fixture
async def http(base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Give a plain HTTP client for the served application."""
    async with httpx.AsyncClient(base_url=base_url, timeout=20) as client:
        yield client
