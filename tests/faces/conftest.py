"""One Gimbal as `gimbal up` makes it, for all tests of the faces; each test uses names of its own in it."""

from collections.abc import Iterator

import pytest
from bench.bar import Running, gimbal_up

import gimbal


@pytest.fixture(scope="session")
def up() -> Iterator[Running]:
    """Start a Gimbal for the whole session."""
    with gimbal_up() as running:
        yield running


@pytest.fixture
def client(up: Running) -> Iterator[gimbal.Client]:
    """Give a client of it that does not wait long."""
    with gimbal.Client(up.url, patience=10) as made:
        yield made
