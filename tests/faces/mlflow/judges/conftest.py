"""Full clients of MLflow of the two newest minor versions, with the libraries that people train with."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench.bar import Running
from tests.mlflow_clients import VERSIONS, MlflowClient, full

STORIES = Path(__file__).with_name("stories")
_NUMBERS = itertools.count()
Story = Callable[..., dict[str, Any]]


@pytest.fixture(params=VERSIONS)
def judge(request: pytest.FixtureRequest) -> MlflowClient:
    """Give each full client that is there."""
    return full(request.param)


@pytest.fixture
def newest() -> MlflowClient:
    """Give the newest full client."""
    return full(VERSIONS[0])


@pytest.fixture
def own(request: pytest.FixtureRequest) -> str:
    """Give a name that no other test uses."""
    return f"judged {next(_NUMBERS)} {request.node.callspec.id if hasattr(request.node, 'callspec') else ''}".strip()


@pytest.fixture
def told(up: Running) -> Story:
    """Return what a story told: the JSON of its last line."""

    def ran(by: MlflowClient, story: str, *args: str, **environment: str) -> dict[str, Any]:
        said = by.run(STORIES / f"{story}.py", up.url, *args, PYTHONWARNINGS="ignore", **environment)
        return json.loads(said.strip().splitlines()[-1])

    return ran
