"""Prices over a real catalog, on SQLite and PostgreSQL, and people who may and may not change them."""

import pytest

from gimbal.axis.pricing.prices import Prices
from gimbal.axis.pricing.refreshing import Refreshes
from gimbal.axis.pricing.service import PriceSource
from gimbal.engines.storage.catalog import Catalog
from gimbal.kernel.context import Context, Principal, Role, Services
from gimbal.kernel.settings import PricesSettings
from gimbal.testing.clock import FrozenClock


@pytest.fixture
def prices(axis: Services, catalog: Catalog, clock: FrozenClock) -> Prices:
    """Prices of the projects `default` and `flights`, behind their operations."""
    found = Prices(catalog, clock)
    axis.register(Prices, found)
    axis.register(PriceSource, found)
    axis.register(Refreshes, Refreshes(catalog, clock, found.snapshot, PricesSettings()))
    return found


@pytest.fixture
def flights(ctx: Context) -> Context:
    """Give the owner in another project."""
    return ctx.within("flights")


@pytest.fixture
def admin(axis: Services) -> Context:
    """Give an admin of one project alone."""
    return Context(axis, Principal(kind="member", id="m", name="ada", roles={"default": Role.ADMIN}), "default")
