"""The built-in routes: health that tells what lags, readiness, the reference page, the way in."""

import asyncio

import pyarrow as pa
import pytest

from gimbal.engines.compute.store import jobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.writer import Writer
from gimbal.faces.server import builtin, health
from gimbal.kernel.clock import Clock
from gimbal.kernel.context import Permission
from gimbal.kernel.events import Event, EventBus
from gimbal.kernel.operations import operations
from gimbal.kernel.settings import WriterSettings


def work(reply) -> dict[str, dict]:
    return {row["part"]: row for row in reply.json()["work"]}


def test_health_shows_every_sort_of_work_behind_the_requests(client):
    reply = client.get("/healthz")

    assert reply.status_code == 200
    assert list(work(reply)) == ["writer", "jobs", "endpoints", "providers", "events"]
    assert work(reply)["writer"]["behind_s"] == 0.0
    assert work(reply)["endpoints"]["behind_s"] <= 1.0


async def put_job(served, after_s: float) -> None:
    now = served.services.get(Clock).now()
    row = {
        "id": f"late-{after_s}", "project": "default", "name": "evals.run", "status": "queued", "done": 0, "total": 0,
        "message": "", "attempt": 0, "attempts": 1, "created_at": now, "created_by": "t", "principal": {},
        "run_after": now.fromtimestamp(now.timestamp() + after_s, now.tzinfo), "cancelling": False,
    }  # fmt: skip
    async with served.services.get(Catalog).write() as tx:
        await tx.execute(jobs.insert().values(row))


async def drop_jobs(served) -> None:
    async with served.services.get(Catalog).write() as tx:
        await tx.execute(jobs.delete())


def test_jobs_that_nobody_takes_are_told(client, served):
    """No worker runs here: what has been due for long is behind, what is due later is not."""
    served.call(drop_jobs(served))
    served.call(put_job(served, 3600))
    later = client.get("/healthz")
    served.call(put_job(served, -5))
    soon = client.get("/healthz")
    served.call(put_job(served, -600))
    late = client.get("/healthz")
    served.call(drop_jobs(served))

    assert (later.json()["status"], work(later)["jobs"]["waiting"]) == ("ok", 0)
    assert (soon.json()["status"], work(soon)["jobs"]["waiting"]) == ("ok", 1)
    assert 5 <= work(soon)["jobs"]["behind_s"] < 30
    assert late.status_code == 200, "a server that is only behind must not be restarted for it"
    assert late.json()["status"] == "behind"
    assert work(late)["jobs"]["waiting"] == 2
    assert 600 <= work(late)["jobs"]["behind_s"] < 700
    assert "worker" in work(late)["jobs"]["message"]


async def test_a_handler_that_failed_is_told(small):
    async def fails(event: Event) -> None:
        raise RuntimeError("no")

    bus = small.services.get(EventBus)
    bus.subscribe(Event, fails)
    async with small.client() as client:
        before = work(await client.get("/healthz"))["events"]
        await bus.publish(Event(project="default"))
        reply = await client.get("/healthz")

    assert before["ok"] is True
    assert reply.json()["status"] == "behind"
    assert work(reply)["events"]["message"].startswith("1 event handlers failed")


class _Stuck:
    """A sink that does not come to its end before it is let."""

    def __init__(self) -> None:
        self.taken, self.go = asyncio.Event(), asyncio.Event()

    async def insert(self, table: str, rows: pa.Table) -> None:
        self.taken.set()
        await self.go.wait()


async def test_rows_that_wait_are_told(small):
    sink = _Stuck()
    writer = Writer(sink, WriterSettings(max_wait_ms=1))
    writer.start()
    small.services.register(Writer, writer)
    first = asyncio.create_task(writer.write("t", pa.table({"a": [1]})))
    await asyncio.wait_for(sink.taken.wait(), 10)
    second = asyncio.create_task(writer.write("t", pa.table({"a": [1, 2, 3]})))
    async with small.client() as client:
        waiting = work(await client.get("/healthz"))["writer"]
    sink.go.set()
    await asyncio.gather(first, second)
    await writer.close()

    assert waiting["waiting"] == 3
    assert waiting["behind_s"] >= 0


async def test_health_goes_on_when_the_catalog_is_gone(small, catalog):
    """Alive is not ready: /readyz names the store and answers 503."""
    await catalog.close()
    async with small.client() as client:
        ready = await client.get("/readyz")
        alive = await health.liveness(small.services)

    assert alive.status in {"ok", "behind"}
    assert ready.status_code == 503
    assert ready.json()["status"] == "failing"


def test_ready_names_each_store(client):
    reply = client.get("/readyz")

    assert reply.status_code == 200
    assert [(c["part"], c["ok"]) for c in reply.json()["checks"]] == [
        ("catalog", True),
        ("columns", True),
        ("blobs", True),
    ]


def test_the_reference_page_has_every_operation(client):
    """Self-hosted: no address of anybody else, and nothing that our own policy would block."""
    page = client.get("/docs/api")

    assert page.headers["content-type"].startswith("text/html")
    for op in operations():
        assert op.name in page.text
        assert op.path in page.text
    for scheme in ('src="http', 'href="https://cdn', "<script>", "style="):
        assert scheme not in page.text


def test_the_root_leads_to_the_project(client):
    reply = client.get("/")
    named = client.get("/", headers={"x-gimbal-project": "a b/../c"})

    assert (reply.status_code, reply.headers["location"]) == (303, "/p/default")
    assert named.headers["location"] == "/p/a%20b%2F..%2Fc"


def test_what_is_open_is_the_list_that_is_written_down(served):
    """Whatever else is asked without a credential is refused: the table decides, and it says so here."""
    found = set()

    def walk(node, path):
        for table in (node.here, node.rest):
            for route, names in table.values():
                if route.allow is Permission.OPEN:
                    found.add(path + ("/{" + names[-1] + "*}" if table is node.rest else ""))
        for segment, inner in node.literals.items():
            walk(inner, f"{path}/{segment}" if segment else path)
        if node.value:
            walk(node.value, f"{path}/{{}}")

    walk(served.app.router._root, "")
    listed = {path.replace("{version}", "{}") for path in builtin.OPEN_ROUTES}
    others = {path or "/" for path in found} - listed

    assert listed <= {path or "/" for path in found}
    # What MLflow's clients ask before they have shown a key tells nothing but which calls there are.
    handshake = {"/health", "/version", "/api/3.0/mlflow/server-info", "/ajax-api/3.0/mlflow/server-info"}
    assert others == handshake | {"/v2/health/live", "/v2/health/ready"}


@pytest.mark.parametrize("path", ["/static/x/nothing.js", "/static/x/"])
def test_a_static_file_that_is_not_there_is_not_found(client, path):
    assert client.get(path).status_code == 404
