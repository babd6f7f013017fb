"""A serving house as it really stands: the application over HTTP, real stores, and a host with model processes.

It is made once for the folder, because a model process takes seconds to import its libraries.
"""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pandas as pd
import pytest
import pytest_asyncio
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from tests.upstreams import serve

from gimbal.axis.assets.model import AliasMoved, FileEntry, Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.datasets.service import Datasets
from gimbal.axis.endpoints.model import SetEndpoint, Target
from gimbal.axis.endpoints.predictions import Predictions
from gimbal.axis.endpoints.service import Endpoints
from gimbal.axis.pricing.service import PriceBook
from gimbal.axis.projects.audit import AuditLog
from gimbal.axis.projects.model import CreateProject
from gimbal.axis.projects.service import Projects
from gimbal.axis.traces.redaction.policies import Redactions
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog, sqlite_url
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.faces.server.app import App
from gimbal.kernel.clock import Clock, SystemClock
from gimbal.kernel.context import Context, Principal, Role, Services
from gimbal.kernel.events import EventBus
from gimbal.kernel.operations import AuditTrail, ProjectGuard
from gimbal.kernel.refs import AtVersion
from gimbal.kernel.settings import LimitSettings, Settings
from gimbal.predictive.flavors.sklearn import FILE, save
from gimbal.predictive.serving import dialect
from gimbal.predictive.serving.host import ModelHost
from gimbal.predictive.serving.pool import ModelPool

ROUTES = dialect  # importing it fills the table of routes
MOST_ROWS = 5_000
HOUSE = {"scope": "package", "loop_scope": "session"}


def flights(n: int = 200, seed: int = 0) -> pd.DataFrame:
    """Return rows of every datatype; `hour` decides the label."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "distance": rng.normal(500, 200, n),
            "hour": rng.integers(0, 24, n),
            "night": rng.random(n) < 0.3,
            "carrier": rng.choice(["AA", "B6"], n),
        }
    )


def classifier(flip: bool = False) -> Any:
    """Return a fitted classifier that knows the carriers AA and B6 only, and fails on others."""
    rows = flights()
    columns = ColumnTransformer([("names", OneHotEncoder(), ["carrier"])], remainder="passthrough")
    late = rows["hour"] > 11
    return make_pipeline(columns, LogisticRegression(max_iter=5_000)).fit(rows, ~late if flip else late)


class House:
    """What a test needs of the house."""

    def __init__(self, services: Services, data: Path, http: httpx.AsyncClient) -> None:
        self.services = services
        self.data = data
        self.http = http
        self.assets = services.get(Assets)
        self.pool = services.get(ModelPool)

    def context(self, project: str = "default") -> Context:
        owner = Principal(kind="owner", id="owner", name="local owner", everywhere=Role.ADMIN)
        return Context(self.services, owner, project)

    async def add(self, name: str, model: Any, example: pd.DataFrame) -> Version:
        """Register a fitted estimator as a version of a model."""
        content, manifest = save(model, example)
        return await self.add_file(name, content, msgspec.to_builtins(manifest))

    async def add_file(self, name: str, content: bytes, manifest: dict[str, Any], path: str = FILE) -> Version:
        """Register bytes as a version of a model."""
        blob = await self.services.get(Blobs).put(content)
        entry = FileEntry(path=path, digest=blob.digest, size=blob.size)
        return await self.assets.add_version(self.context(), kind="model", name=name, manifest=manifest, files=[entry])

    async def endpoint(self, slug: str, ref: str) -> None:
        """Let an endpoint serve a reference."""
        body = SetEndpoint(slug=slug, targets=[Target(ref=ref)])
        await self.services.get(Endpoints).set(self.context(), body)

    async def move(self, name: str, alias: str, version: Version) -> None:
        """Move an alias, and let everyone know as after a request."""
        ctx = self.context()
        await self.assets.move_alias(ctx, "model", name, alias, AtVersion(version.number))
        await ctx.settle()

    async def infer(self, slug: str, rows: pd.DataFrame, **more: Any) -> httpx.Response:
        """Ask over HTTP."""
        return await self.http.post(f"/v2/models/{slug}/infer", json=body_of(rows, **more))

    async def state(self, version: Version, wanted: str, *, not_pid: int | None = None) -> int | None:
        """Wait until the process of a version is in a state, of another process than `not_pid`; return its id."""
        async with asyncio.timeout(60):
            while True:
                state = self.pool.state(version)
                if state is not None and state.state == wanted and (not_pid is None or state.pid != not_pid):
                    return state.pid
                await asyncio.sleep(0.02)


def body_of(rows: pd.DataFrame, **more: Any) -> dict[str, Any]:
    """Return the body of an inference request."""
    kinds = {"f": "FP64", "i": "INT64", "b": "BOOL"}
    inputs = [
        {
            "name": name,
            "shape": [len(rows)],
            "datatype": kinds.get(rows[name].dtype.kind, "BYTES"),
            "data": rows[name].tolist(),
        }
        for name in rows.columns
    ]
    return {"inputs": inputs, **more}


@pytest_asyncio.fixture(**HOUSE)
async def house(
    sqlite_template: Path, columns: Columns, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[House]:
    """Give the house with the endpoints `delay` (two classes) and `minutes` (a number)."""
    data = tmp_path_factory.mktemp("house")
    shutil.copy(sqlite_template, data / "catalog.sqlite")
    settings = Settings(limits=LimitSettings(rows_per_inference=MOST_ROWS))
    services, clock = Services(), SystemClock()
    catalog = Catalog.open(sqlite_url(data / "catalog.sqlite"))
    blobs = Blobs.open(f"file://{data / 'blobs'}")
    writer = Writer(columns, settings.writer)
    writer.start()
    projects, assets = Projects(catalog, clock), Assets(catalog, blobs)
    await projects.ensure_default()
    endpoints = Endpoints(catalog, assets)
    for kind, service in (
        (Settings, settings), (Clock, clock), (EventBus, EventBus()), (Catalog, catalog), (Columns, columns),
        (Blobs, blobs), (Writer, writer), (Projects, projects), (ProjectGuard, projects),
        (AuditTrail, AuditLog(catalog)), (Assets, assets), (Datasets, Datasets(assets, blobs)),
        (Endpoints, endpoints), (Predictions, Predictions(columns, writer)), (ModelPool, ModelPool(data)),
        (Traces, Traces(columns, writer, PriceBook.read())), (Redactions, Redactions(catalog, settings.redaction)),
    ):  # fmt: skip
        services.register(kind, service)
    services.get(EventBus).subscribe(AliasMoved, endpoints.on_alias_moved)
    stop = asyncio.Event()
    host = asyncio.create_task(ModelHost(data, blobs).run(stop))
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(catalog.close)
        stack.push_async_callback(writer.close)
        url = await stack.enter_async_context(serve(App(services, settings)))
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=60))
        made = House(services, data, http)
        await projects.create(made.context(), CreateProject(slug="elsewhere"))
        rows = flights()
        await made.add("flights/delay", classifier(), rows)
        await made.add("flights/minutes", Ridge().fit(rows[["hour"]], rows["hour"] * 2.0), rows[["hour"]])
        await made.endpoint("delay", "model:flights/delay@v1")
        await made.endpoint("minutes", "model:flights/minutes@v1")
        yield made
        stop.set()
        await host
