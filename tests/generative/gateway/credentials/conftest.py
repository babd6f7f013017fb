"""Providers in a catalog, with master keys, over a loopback upstream."""

from collections.abc import AsyncIterator

import pytest
from tests.generative.gateway.upstreams.loopback import Loopback, client, loopback

from gimbal.axis.pricing.service import PriceBook, PriceSource
from gimbal.axis.projects.audit import AuditLog
from gimbal.axis.projects.service import Projects
from gimbal.axis.traces.redaction.policies import Redactions
from gimbal.axis.traces.service import Traces
from gimbal.engines.http.model import Client
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.generative.gateway.providers import operations as provider_operations
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.generative.gateway.providers.service import ProviderService
from gimbal.kernel.clock import Clock, SystemClock
from gimbal.kernel.context import Context, Principal, Role, Services
from gimbal.kernel.operations import AuditTrail, ProjectGuard
from gimbal.kernel.settings import Settings
from gimbal.kernel.settings_gateway import GatewaySettings, ProviderSettings

# Importing it fills the table.
ROOMS = (provider_operations,)
MASTER = {
    "MASTER": "k1:" + "A" * 43 + "=",
    "ROTATED": "k2:" + "B" * 43 + "=,k1:" + "A" * 43 + "=",
    "OPENAI_API_KEY": "sk-o",
}


@pytest.fixture
async def up() -> AsyncIterator[Loopback]:
    async with loopback() as app:
        yield app


@pytest.fixture
async def http_client() -> AsyncIterator[Client]:
    async with client() as made:
        yield made


def registry(catalog: Catalog, http_client: Client, key_env: str = "MASTER") -> Providers:
    settings = GatewaySettings(
        key_env=key_env, providers=(ProviderSettings(name="given", kind="vllm", base_url="http://127.0.0.1:9/v1"),)
    )
    return Providers(settings, http_client, catalog=catalog, environ=MASTER)


@pytest.fixture
async def known(services: Services, catalog: Catalog, columns: Columns, http_client: Client) -> AsyncIterator[Services]:
    writer, prices = Writer(columns, Settings().writer), PriceBook.read()
    writer.start()
    projects = Projects(catalog, SystemClock())
    await projects.ensure_default()
    providers = registry(catalog, http_client)
    for kind, service in (
        (Settings, Settings()),
        (Clock, SystemClock()),
        (Catalog, catalog),
        (Projects, projects),
        (ProjectGuard, projects),
        (AuditTrail, AuditLog(catalog)),
        (AuditLog, AuditLog(catalog)),
        (Providers, providers),
        (ProviderService, ProviderService(catalog, providers)),
        (PriceSource, prices),
        (Traces, Traces(columns, writer, prices)),
        (Redactions, Redactions(catalog, Settings().redaction)),
    ):
        services.register(kind, service)
    yield services
    await writer.close()


@pytest.fixture
def ctx(known: Services, owner: Principal) -> Context:
    """Give a context of the owner, in the project `default`."""
    return Context(known, owner, "default")


@pytest.fixture
def admin(known: Services) -> Context:
    """Give a context of somebody who is admin of `default` alone."""
    return Context(known, Principal(kind="key", id="k", name="ada", roles={"default": Role.ADMIN}), "default")


@pytest.fixture
def developer(known: Services) -> Context:
    """Give a context of a developer of `default`."""
    return Context(known, Principal(kind="key", id="d", name="dev", roles={"default": Role.DEVELOPER}), "default")
