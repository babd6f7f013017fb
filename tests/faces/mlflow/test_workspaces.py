"""Keys of several projects: the workspace header says which one is meant, and what the key may do there decides."""

import httpx
import pytest
from tests.axis.traces.conftest import traces, writer  # noqa: F401 - fixtures

from gimbal.axis.assets.service import Assets
from gimbal.axis.projects.model import CreateProject
from gimbal.axis.projects.service import Projects
from gimbal.axis.runs.artifacts.service import Artifacts
from gimbal.axis.runs.points.service import Points
from gimbal.axis.runs.service import Runs
from gimbal.axis.traces.service import Traces
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.faces.server import capabilities
from gimbal.faces.server.app import App
from gimbal.kernel.context import Context, Principal, Role, Services
from gimbal.kernel.http import dialect_routes
from gimbal.kernel.operations import ProjectGuard
from gimbal.kernel.settings import Settings
from gimbal.testing.clock import FrozenClock

capabilities.load_dialects()


class Several(Projects):
    """Projects where one key is worth something in several."""

    async def authenticate(self, secret: str) -> Principal:
        """Return who the key of these tests belongs to, whatever it is."""
        return Principal(
            kind="key", id="k", name="ann", roles={"flights": Role.DEVELOPER, "trains": Role.VIEWER, "old": Role.ADMIN}
        )


@pytest.fixture
async def client(
    services: Services,
    catalog: Catalog,
    columns: Columns,
    blobs: Blobs,
    clock: FrozenClock,
    ctx: Context,
    traces: Traces,  # noqa: F811
) -> httpx.AsyncClient:
    """Give a client of an app over real stores, with that key."""
    projects, assets = Several(catalog, clock), Assets(catalog, blobs)
    await projects.ensure_default()
    for slug in ("flights", "trains", "old"):
        await projects.create(ctx, CreateProject(slug=slug))
    await projects.archive(ctx, "old", archived=True)
    runs = Runs(catalog=catalog, points=Points(columns, catalog), artifacts=Artifacts(catalog, blobs), assets=assets)
    for kind, one in ((Projects, projects), (ProjectGuard, projects), (Catalog, catalog), (Runs, runs)):
        services.register(kind, one)  # pyright: ignore[reportArgumentType] - the pairs fit
    app = App(services, Settings(), tables=((), dialect_routes()))
    headers = {"authorization": "Bearer gk_any"}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1", headers=headers)


@pytest.mark.parametrize(
    ("workspace", "get", "create", "spans"),
    [
        ("flights", 200, 200, 200),
        ("trains", 200, 403, 403),
        ("old", 200, 400, 409),
        ("nowhere", 404, 404, 404),
        ("", 403, 403, 403),
        ("default", 403, 403, 403),
    ],
)
async def test_the_workspace_decides_what_a_key_may_do(
    client: httpx.AsyncClient, workspace: str, get: int, create: int, spans: int
) -> None:
    """Not the home project, in which this key is worth nothing; an archived one can be read, and spans go by the same rule."""
    headers = {"X-MLFLOW-WORKSPACE": workspace}
    async with client:
        seen = await client.get("/api/2.0/mlflow/experiments/get-by-name?experiment_name=x", headers=headers)
        # There is no such experiment: whoever may look is told so.
        assert seen.status_code == (404 if get == 200 else get), seen.text
        assert ("workspace" in seen.text) == (get == 404)
        made = await client.post("/api/2.0/mlflow/experiments/create", json={"name": "delay"}, headers=headers)
        assert made.status_code == create, made.text
        sent = await client.post("/v1/traces", content=b"", headers=headers)
        assert sent.status_code == spans, sent.text
        if create == 200:
            shown = await client.get("/api/2.0/mlflow/experiments/get-by-name?experiment_name=delay", headers=headers)
            assert shown.json()["experiment"]["workspace"] == workspace
