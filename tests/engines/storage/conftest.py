"""An installation with something in every store, and a backup of it."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from moto.server import ThreadedMotoServer

import gimbal.engines.storage.columns as columns_module
from gimbal.engines.compute.store import schedules
from gimbal.engines.storage import backup, migrate
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog, sqlite_url
from gimbal.engines.storage.columns import Columns
from gimbal.faces.server.stores import MIGRATIONS
from gimbal.kernel.context import Principal
from gimbal.kernel.ids import new_id

AT = datetime(2026, 1, 1, tzinfo=UTC)
METRICS = {
    "project": ["default"] * 3, "run_id": ["r"] * 3, "name": ["auc", "auc", "loss"], "step": [1, 2, 1],
    "at_us": [1, 2, 3], "value": [0.5, float("nan"), float("inf")],
}  # fmt: skip
LABEL = "INSERT INTO labels (project, endpoint, prediction_id, value, at_us, author) VALUES "


class Installation:
    """A data folder with a catalog, a database of columns and blobs, all with something in them."""

    def __init__(self, folder: Path, columns: Columns) -> None:
        self.folder, self.columns = folder, columns
        self.blobs = Blobs.open(f"file://{folder / 'blobs'}")
        self.digests: list[str] = []

    async def fill(self) -> None:
        migrate.catalog(sqlite_url(self.folder / "catalog.sqlite"), MIGRATIONS / "catalog")
        await migrate.columns(self.columns, MIGRATIONS / "columns")
        await self.columns.insert("run_metrics", pa.table(METRICS))
        await self.columns.insert("metric_points", pa.table(METRICS))
        await self.columns.command(f"{LABEL} ('default', 'delay', 'p1', 1, 7, 'é\n\\0')")
        for content in (b"", b"a blob", bytes(range(256)) * 5000):
            self.digests.append((await self.blobs.put(content)).digest)
        await self.note("first")

    async def note(self, slug: str) -> None:
        catalog = Catalog.open(sqlite_url(self.folder / "catalog.sqlite"))
        async with catalog.write() as tx:
            await tx.execute(
                schedules.insert().values(
                    project="default", slug=slug, cron="* * * * *", job="x", payload={"a": [1.5, None, "é"]},
                    principal=Principal(kind="owner", id="o", name="o"), enabled=True, next_at=AT, missed=0,
                )
            )  # fmt: skip
        await catalog.close()

    async def backup(self, target: Path) -> backup.Manifest:
        return await backup.backup(
            catalog=self.folder / "catalog.sqlite", columns=self.columns, blobs=self.folder / "blobs",
            target=target, version="9.9", at=AT,
        )  # fmt: skip


@pytest.fixture
async def database(columns: Columns, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[], object]]:
    """Make databases in the one engine that a process can have; each stands for one data folder's columns."""
    made: list[tuple[str, Columns]] = []

    async def make() -> Columns:
        name = "b_" + new_id().replace("-", "")
        monkeypatch.setattr(columns_module, "DATABASE", name)
        store = await Columns.open(columns.url)
        made.append((name, store))
        return store

    yield make
    for name, store in made:
        await store.command(f"DROP DATABASE {name}")
        await store.close()


@pytest.fixture
async def there(database: Callable[[], object], tmp_path: Path) -> Installation:
    """Give an installation with something in every store."""
    folder = tmp_path / "data"
    folder.mkdir()
    found = Installation(folder, await database())  # pyright: ignore[reportGeneralTypeIssues]
    await found.fill()
    return found


@pytest.fixture
async def taken(there: Installation, tmp_path: Path) -> Path:
    """Give a backup of it."""
    await there.backup(tmp_path / "backup")
    return tmp_path / "backup"


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """Give an S3 that speaks the true wire on loopback."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Blobs:
    """Give each kind of blob store."""
    if request.param == "folder":
        return Blobs.open(f"file://{tmp_path / 'blobs'}")
    import boto3

    endpoint = request.getfixturevalue("s3")
    for name, value in (("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "us-east-1")):
        monkeypatch.setenv(name, value)
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="gimbal")
    return Blobs.open("s3://gimbal/some/prefix", endpoint=endpoint)
