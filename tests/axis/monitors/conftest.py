"""Monitors over real stores. The judge is a model that is a formula: its probabilities are known exactly."""

import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import expit
from tests.axis.endpoints.conftest import AddModel, add_model
from tests.sqlite import catalog_address  # noqa: F401 - a fixture

import gimbal.axis.endpoints.operations
import gimbal.axis.monitors.operations
import gimbal.axis.monitors.pages  # noqa: F401 - fill the tables
from gimbal.axis.assets.model import Version
from gimbal.axis.assets.service import Assets
from gimbal.axis.datasets.service import Datasets
from gimbal.axis.endpoints.model import SetEndpoint, Target
from gimbal.axis.endpoints.predictions import PredictionBatch, Predictions
from gimbal.axis.endpoints.service import Endpoints
from gimbal.axis.gates.evidence import LabelledScores
from gimbal.axis.monitors.model import CreateMonitor, Label
from gimbal.axis.monitors.service import Monitors
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.clock import to_us
from gimbal.kernel.context import Context, Services

__all__ = ["add_model"]


def world(n: int, seed: int, *, shift: float = 0.0, noise: float = 0.0) -> tuple[pa.Table, np.ndarray]:
    """Return features and labels of a world in which P(late) = expit(x − `noise` · x): the model believes expit(x)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(shift, 1, n)
    late = rng.random(n) < expit(x * (1 - noise))
    carrier = rng.choice(["AA", "B6", "<UA>"], n)
    return pa.table({"x": x, "hour": rng.integers(0, 24, n), "carrier": carrier}), late


async def judge(ctx: Context, version: Version, dataset: str, label: str) -> LabelledScores:
    """Score a data set as the model does: expit(x)."""
    table = await ctx.get(Datasets).read(ctx, dataset)
    return LabelledScores(labels=table[label].to_numpy() > 0.5, probabilities=np.asarray(expit(table["x"].to_numpy())))


class Place:
    """One endpoint with its monitor; slugs of its own, because all tests share one chDB."""

    def __init__(self, ctx: Context, monitors: Monitors) -> None:
        self.ctx = ctx
        self.monitors = monitors
        self.slug = f"e{uuid.uuid4().hex[:12]}"
        self._sent = 0

    def create(self, **change: object) -> CreateMonitor:
        values = {
            "slug": "watch", "endpoint": self.slug, "reference": "dataset:ring/reference@v1",
            "baseline": "dataset:ring/baseline@v1", "label": "late",
        }  # fmt: skip
        return CreateMonitor(**{**values, **change})  # type: ignore[arg-type]

    async def predict(
        self, month: int, n: int = 300, *, seed: int = 0, shift: float = 0.0, noise: float = 0.0
    ) -> list[Label]:
        """Record predictions in a month of 2026; return what will turn out to be true of them."""
        rows, late = world(n, seed or month, shift=shift, noise=noise)
        ids = [f"{self.slug}-{self._sent + i}" for i in range(n)]
        self._sent += n
        start = to_us(datetime(2026, month, 3, tzinfo=UTC))
        scores = expit(rows["x"].to_numpy()).tolist()
        batch = PredictionBatch(
            endpoint=self.slug, version="model:ring/model@v1", ids=ids, at_us=start,
            event_us=[start + i * 1_000_000 for i in range(n)], entities=[""] * n, inputs=rows,
            predicted=["true" if s > 0.5 else "false" for s in scores], scores=scores,
        )  # fmt: skip
        await self.ctx.get(Predictions).record(self.ctx, batch)
        return [Label(prediction_id=i, value=float(v)) for i, v in zip(ids, late, strict=True)]

    async def label(self, labels: list[Label]) -> int:
        return await self.monitors.add_labels(self.ctx, self.slug, labels)


MakePlace = Callable[[], Awaitable[Place]]


@pytest.fixture
def monitors(axis: Services) -> Monitors:
    """Give monitors with everything that they read."""
    assets, columns, writer = axis.get(Assets), axis.get(Columns), axis.get(Writer)
    axis.register(Datasets, Datasets(assets, axis.get(Blobs)))
    axis.register(Endpoints, Endpoints(axis.get(Catalog), assets))
    axis.register(Predictions, Predictions(columns, writer))
    found = Monitors(
        catalog=axis.get(Catalog), columns=columns, writer=writer, assets=assets, datasets=axis.get(Datasets),
        endpoints=axis.get(Endpoints), predictions=axis.get(Predictions), judge=judge,
    )  # fmt: skip
    axis.register(Monitors, found)
    return found


@pytest.fixture
async def place(monitors: Monitors, ctx: Context, add_model: AddModel) -> Place:
    """Give an endpoint of a model, what it was trained on and what it was let in by, and the monitor `watch`."""
    await add_model("ring/model")
    found = Place(ctx, monitors)
    for name, seed in (("ring/reference", 101), ("ring/baseline", 102)):
        rows, late = world(2_000, seed)
        await ctx.get(Datasets).snapshot(ctx, name, rows.append_column("late", pa.array(late.astype(float))))
    body = SetEndpoint(slug=found.slug, targets=[Target(ref="model:ring/model@v1")])
    await ctx.get(Endpoints).set(ctx, body)
    await monitors.set(ctx, found.create())
    return found
