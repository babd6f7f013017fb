"""A served Gimbal, and MLflow's own clients that ask it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from bench.bar import Running
from tests.faces.mlflow.both import Both
from tests.mlflow_clients import each_client, full_client, mlflow_client  # noqa: F401 - fixtures

SCRIPTS = Path(__file__).with_name("scripts")


@pytest.fixture
def rest(up: Running) -> Iterator[httpx.Client]:
    """Ask without MLflow's client: what it would not send."""
    with httpx.Client(base_url=f"{up.url}/api/2.0/mlflow", timeout=30) as made:
        yield made


@pytest.fixture
def both(up: Running) -> Both:
    """Give one run, and two ways to it."""
    return Both(up)
