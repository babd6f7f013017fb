"""Endpoints and predictions over real stores, with models that are only named: nothing is loaded here."""

from collections.abc import Awaitable, Callable

import msgspec
import pytest

import gimbal.axis.endpoints.operations
import gimbal.axis.endpoints.pages  # noqa: F401 - fill the tables
from gimbal.axis.assets.model import AliasMoved, FileEntry, Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.endpoints.predictions import Predictions
from gimbal.axis.endpoints.service import Endpoints
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.context import Context, Services
from gimbal.kernel.events import EventBus
from gimbal.predictive.flavors.model import ModelManifest, Signature, TensorSpec

AddModel = Callable[..., Awaitable[Version]]


@pytest.fixture
def endpoints(axis: Services) -> Endpoints:
    """Give the endpoints of an installation, which follow aliases."""
    found = Endpoints(axis.get(Catalog), axis.get(Assets))
    axis.register(Endpoints, found)
    axis.register(Predictions, Predictions(axis.get(Columns), axis.get(Writer)))
    axis.get(EventBus).subscribe(AliasMoved, found.on_alias_moved)
    return found


@pytest.fixture
def predictions(endpoints: Endpoints, axis: Services) -> Predictions:
    """Give the prediction log."""
    return axis.get(Predictions)


@pytest.fixture
def add_model(axis: Services, ctx: Context) -> AddModel:
    """Give what adds a version of a model; each text is another one."""

    async def add(name: str, text: str = "a", project: str = "default") -> Version:
        blob = await axis.get(Blobs).put(text.encode())
        signature = Signature(inputs=[TensorSpec(name="x", datatype="FP64")], outputs=[])
        manifest = ModelManifest(flavor="sklearn", task="regression", signature=signature)
        return await axis.get(Assets).add_version(
            Context(ctx.services, ctx.principal, project),
            kind="model",
            name=name,
            manifest=msgspec.to_builtins(manifest),
            files=[FileEntry(path="model.skops", digest=blob.digest, size=blob.size)],
        )

    return add
