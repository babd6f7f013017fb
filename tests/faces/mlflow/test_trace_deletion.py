"""Deletion of more traces than go in one step."""

import pytest
from tests.axis.retention.conftest import here, place  # noqa: F401 - fixtures
from tests.axis.retention.stored import canary, chat, count
from tests.axis.traces.conftest import traces, writer  # noqa: F401 - fixtures

from gimbal.axis.assets.service import Assets
from gimbal.axis.runs.artifacts.service import Artifacts
from gimbal.axis.runs.points.service import Points
from gimbal.axis.runs.service import Runs
from gimbal.axis.traces.facts.service import TraceFacts
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.faces.mlflow import trace_search
from gimbal.faces.mlflow.trace_search import DeleteTraces
from gimbal.kernel.context import Context, Services


@pytest.mark.parametrize(("most", "gone"), [(None, 5), (3, 3), (1, 1)])
async def test_as_many_go_as_are_asked_for(
    here: Context,  # noqa: F811
    services: Services,
    catalog: Catalog,
    columns: Columns,
    blobs: Blobs,
    writer: Writer,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    most: int | None,
    gone: int,
) -> None:
    """All that there are where nobody says how many at most, the oldest first, in as many steps as it takes."""
    monkeypatch.setattr(trace_search, "MOST_AT_ONCE", 2)
    assets, artifacts = Assets(catalog, blobs), Artifacts(catalog, blobs)
    services.register(Runs, Runs(catalog=catalog, points=Points(columns, catalog), artifacts=artifacts, assets=assets))
    services.register(TraceFacts, TraceFacts(columns, writer))
    for _ in range(5):
        await chat(here, canary())
    asked = DeleteTraces(experiment_id="0", max_timestamp_millis=2_000_000_000_000, max_traces=most)
    assert await trace_search.delete(here, asked) == {"traces_deleted": gone}
    assert await count(here, "spans") == 2 * (5 - gone)
