"""The gateway process: the doors for model calls alone, so that a core answers calls and does nothing else.

It reads configuration from the catalog and puts records of calls into a journal. In an embedded installation the server
stores them; a gateway that runs alone does so itself.
"""

import contextlib
from collections.abc import AsyncGenerator

from gimbal.axis.pricing.prices import Prices
from gimbal.axis.projects.service import DEFAULT_PROJECT, Projects
from gimbal.faces.server import builtin, capabilities
from gimbal.faces.server.app import App, plain_error
from gimbal.faces.server.exchange import Exchange
from gimbal.faces.server.stores import link_from_environment, open_stores
from gimbal.faces.server.wiring import beside, build_services, check_address, recording
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.kernel.errors import GimbalError, NotFound
from gimbal.kernel.http import HttpReply, dialect_routes
from gimbal.kernel.settings import Settings

DOORS = frozenset({"openai", "anthropic", "gemini"})
"""The dialects that ask models."""


def _elsewhere(error: GimbalError, exchange: Exchange) -> HttpReply:
    if isinstance(error, NotFound):
        error = NotFound(
            error.message, where=error.where, todo="Ask the server: this process answers model calls alone."
        )
    return plain_error(error, exchange)


@contextlib.asynccontextmanager
async def gateway_app(settings: Settings) -> AsyncGenerator[App]:
    """Yield the application of a gateway process; close everything in order afterwards."""
    capabilities.load_dialects()
    link = link_from_environment()
    async with open_stores(settings, owner=False, link=link) as stores:
        services = build_services(settings, stores)
        await check_address(settings, services.get(Projects))
        # Known once, they go on to hold while the catalog is away.
        await services.get(Prices).of(DEFAULT_PROJECT)
        app = App(services, settings, tables=((), [row for row in dialect_routes() if row.dialect in DOORS]))
        # The records of calls wait on disk for columns that are away.
        builtin.install_health(app, stores=("catalog",))
        app.unmatched = _elsewhere
        async with (
            contextlib.aclosing(services.get(Providers)),
            beside(services.get(Providers).follow, "providers"),
            beside(services.get(Prices).snapshot.follow, "prices"),
            recording(settings, services, carries=link is None),
        ):
            yield app
