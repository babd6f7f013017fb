"""A project of its own for each test, and Optuna's words kept down."""

import uuid

import optuna
import pytest
from bench.bar import Running

import gimbal

optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.fixture
def project(up: Running) -> str:
    """Make an empty project."""
    slug = f"p{uuid.uuid4().hex[:10]}"
    with gimbal.Client(up.url) as client:
        client.projects.create(slug=slug)
    return slug


@pytest.fixture
def own(up: Running, project: str) -> gimbal.Client:
    """Give a client of that project."""
    return gimbal.Client(up.url, project=project, patience=10)
