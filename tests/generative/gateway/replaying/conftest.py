"""A gateway with captured traffic, and what carries evaluations out."""

import pytest

import gimbal.axis.evals.work  # noqa: F401 - declares the jobs
from gimbal.axis.assets.service import Assets
from gimbal.axis.evals.recording import AnswerRecorder
from gimbal.axis.evals.service import Evaluations
from gimbal.axis.evals.suites import Suites
from gimbal.axis.evals.target import TARGETS
from gimbal.engines.compute.jobs import Jobs
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.generative.gateway.target import PROMPTS
from gimbal.kernel.clock import SystemClock
from gimbal.kernel.context import Context, Services


@pytest.fixture
def ctx(ctx: Context, gateway: Services, catalog: Catalog, blobs: Blobs, columns: Columns) -> Context:
    """Give a context that can evaluate, too."""
    assets, writer = gateway.get(Assets), gateway.get(Writer)
    suites = Suites(assets, blobs)
    evaluations = Evaluations(catalog, columns, writer, assets, suites)
    gateway.register(Suites, suites)
    gateway.register(Evaluations, evaluations)
    gateway.register(AnswerRecorder, AnswerRecorder(columns, writer, assets, suites, evaluations))
    gateway.register(Jobs, Jobs(catalog, SystemClock()))
    if "prompt" not in TARGETS:
        TARGETS.add("prompt", PROMPTS)
    return ctx
