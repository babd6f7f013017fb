"""A loopback provider and a client for each test."""

from collections.abc import AsyncIterator

import pytest
from tests.generative.gateway.upstreams.loopback import Loopback, client, loopback

from gimbal.engines.http.model import Client


@pytest.fixture
async def up() -> AsyncIterator[Loopback]:
    async with loopback() as app:
        yield app


@pytest.fixture
async def http_client() -> AsyncIterator[Client]:
    async with client() as made:
        yield made
