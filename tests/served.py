"""The server's own application and console over whatever services a test has, on a free loopback port."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn

from gimbal.axis.projects.service import Projects
from gimbal.engines.console.console import Console, ProjectLink
from gimbal.faces.server import builtin
from gimbal.faces.server.app import App
from gimbal.kernel.clock import Clock
from gimbal.kernel.context import Context, Services
from gimbal.kernel.settings import Settings


@asynccontextmanager
async def serve(services: Services, cache: Path) -> AsyncIterator[str]:
    """Serve every operation and page that has been imported; yield the address."""

    async def projects(ctx: Context) -> list[ProjectLink]:
        found = await services.get(Projects).visible_to(ctx.principal)
        return [ProjectLink(slug=p.slug, name=p.title) for p in found]

    app = App(services, Settings())
    console = Console(version="test", cache=cache, projects=projects, clock=services.get(Clock))
    builtin.install(app, console)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
    running = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110 - uvicorn offers no event to wait on
            await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await running
