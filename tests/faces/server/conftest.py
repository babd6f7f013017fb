"""Two servers: the whole one on a real socket, once for all tests here, and a small one in process for each test."""

import asyncio
import functools
import itertools
import shutil
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import uvicorn
from tests.sqlite import catalog_address  # noqa: F401 - a fixture

from gimbal.axis.projects.audit import AuditLog
from gimbal.axis.projects.model import CreateKey, IssuedKey
from gimbal.axis.projects.service import Projects
from gimbal.engines.console.console import Console
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog, sqlite_url
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.faces.server import builtin, capabilities
from gimbal.faces.server.app import App, Route
from gimbal.faces.server.exchange import Exchange
from gimbal.faces.server.stores import Stores
from gimbal.faces.server.wiring import build_services
from gimbal.kernel.context import Context, Permission, Principal, Role, Services
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.http import HttpReply
from gimbal.kernel.operations import AuditTrail, ProjectGuard
from gimbal.kernel.settings import ServerSettings, Settings
from gimbal.testing.clock import FrozenClock

capabilities.load_operations()
capabilities.load_dialects()
capabilities.load_pages()

T = TypeVar("T")
BODY_LIMIT, UPLOAD_LIMIT, HELD_LIMIT = 200_000, 400_000, 300_000
_OWNER = Principal(kind="owner", id="owner", name="local owner", everywhere=Role.ADMIN)


class Served:
    """The whole server in a thread of its own; `call` runs a coroutine where it lives."""

    def __init__(self, folder: Path, catalog: Path, columns: Columns) -> None:
        self.limits = ServerSettings(
            max_body_bytes=BODY_LIMIT, max_upload_bytes=UPLOAD_LIMIT, max_held_bytes=HELD_LIMIT
        )
        self.settings = Settings(data=str(folder), server=self.limits)
        self.folder = folder
        self.url = ""
        self.closed = closed
        self.services = Services()
        self.app: App
        self._catalog, self._columns = catalog, columns
        self._loop = asyncio.new_event_loop()
        self._ready, self._stop = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._run()), daemon=True)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def context(self, project: str | None = "default") -> Context:
        return Context(self.services, _OWNER, project)

    def key(self, role: Role, project: str | None = "default") -> str:
        body = CreateKey(name=role.value, role=role)
        return self.call(self.services.get(Projects).create_key(self.context(project), body, project)).secret

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(30), "the server did not start"

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    async def _run(self) -> None:
        catalog = Catalog.open(sqlite_url(self._catalog))
        writer = Writer(self._columns, self.settings.writer)
        writer.start()
        blobs = Blobs.open(f"file://{self.folder / 'blobs'}")
        stores = Stores(catalog=catalog, columns=self._columns, blobs=blobs, writer=writer)
        self.services = build_services(self.settings, stores)
        await self.services.get(Projects).ensure_default()
        self.app = App(self.services, self.settings)
        for path, answer in ODD_ROUTES.items():
            self.app.add("GET", path, Route(label=f"test {path}", allow=Permission.VIEW, answer=answer))
        builtin.install(self.app, Console(version="test", cache=self.folder / "cache"))
        config = uvicorn.Config(
            self.app, port=0, log_level="critical", lifespan="off", loop="asyncio", http="httptools"
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn offers no event to wait on
            await asyncio.sleep(0.01)
        self.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._stop.wait()
        server.should_exit = True
        await serving
        await writer.close()
        await catalog.close()


async def _broken(exchange: Exchange, ctx: Context) -> HttpReply:
    raise RuntimeError("the password is hunter2")


async def _torn(exchange: Exchange, ctx: Context) -> HttpReply:
    async def chunks():
        yield b"first"
        raise RuntimeError("the password is hunter2")

    return HttpReply(body=chunks(), media_type="text/plain")


async def _refusing(exchange: Exchange, ctx: Context) -> HttpReply:
    async def chunks():
        raise GimbalError("Not even one byte.")
        yield b""

    return HttpReply(body=chunks(), media_type="text/plain")


closed: list[str] = []


async def _endless(exchange: Exchange, ctx: Context) -> HttpReply:
    async def chunks():
        try:
            for number in itertools.count():
                yield f"{number}\n".encode()
                await asyncio.sleep(0)
        finally:
            closed.append(exchange.method)

    return HttpReply(body=chunks(), media_type="text/plain")


async def _silent(exchange: Exchange, ctx: Context) -> HttpReply:
    async def chunks():
        try:
            if "first" in exchange.query():
                yield b"first"
            await asyncio.Event().wait()
            yield b"never"
        finally:
            closed.append("silent")

    return HttpReply(body=chunks(), media_type="text/plain")


async def _injecting(exchange: Exchange, ctx: Context) -> HttpReply:
    return HttpReply(headers={"x-name": "a\r\nset-cookie: b=c"})


async def _nothing(exchange: Exchange, ctx: Context) -> HttpReply:
    return HttpReply(status=204)


ODD_ROUTES: dict[str, Callable[[Exchange, Context], Awaitable[HttpReply]]] = {
    "/test/broken": _broken,
    "/test/torn": _torn,
    "/test/refusing": _refusing,
    "/test/endless": _endless,
    "/test/silent": _silent,
    "/test/injecting": _injecting,
    "/test/nothing": _nothing,
}


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, columns: Columns) -> Iterator[Served]:
    """Give the whole server on a loopback port, with small limits and some routes that misbehave."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copy(sqlite_template, folder / "catalog.sqlite")
    server = Served(folder, folder / "catalog.sqlite", columns)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    """Give a plain HTTP client of the whole server: the local owner."""
    with httpx.Client(base_url=served.url, timeout=20) as found:
        yield found


@functools.cache
def _console() -> Console:
    """Make one console for all small servers: it holds templates and nothing of a test."""
    return Console(version="test", cache=Path("/nonexistent"))


class Small:
    """Projects, keys and the built-in routes in process, under any settings and from any address."""

    def __init__(self, services: Services, folder: Path, ctx: Context) -> None:
        self.services, self._folder, self._ctx = services, folder, ctx

    def client(self, *, address: str = "127.0.0.1", base: str = "http://127.0.0.1:8765", **server: Any):
        settings = Settings(data=str(self._folder), server=ServerSettings(**server))
        self.services.register(Settings, settings)
        app = App(self.services, settings)
        builtin.install(app, _console())
        transport = httpx.ASGITransport(app, client=(address, 4711), raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=base)

    async def key(self, role: Role = Role.ADMIN, project: str | None = None, **more: Any) -> IssuedKey:
        body = CreateKey(name="test", role=role, **more)
        return await self.services.get(Projects).create_key(self._ctx, body, project)


@pytest.fixture
async def small(services: Services, catalog: Catalog, clock: FrozenClock, ctx: Context, tmp_path: Path) -> Small:
    """Give a small server that is made anew for the test."""
    projects, audit = Projects(catalog, clock), AuditLog(catalog)
    await projects.ensure_default()
    services.register(Catalog, catalog)
    services.register(Projects, projects)
    services.register(ProjectGuard, projects)
    services.register(AuditTrail, audit)
    services.register(AuditLog, audit)
    return Small(services, tmp_path, ctx)
