"""One process of an installation: `python -m gimbal.faces.server.process server|worker|model|gateway`.

The supervisor starts these; `gimbal up --role` runs one alone over PostgreSQL, ClickHouse and a blob store.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable

import msgspec
import uvicorn

from gimbal.faces.server import logs, preflight
from gimbal.faces.server.app import App
from gimbal.faces.server.forwarded import Forwarded
from gimbal.faces.server.model_calls import gateway_app
from gimbal.faces.server.patience import PatientProtocol
from gimbal.faces.server.serving import Serving
from gimbal.faces.server.supervisor import watch_parent
from gimbal.faces.server.wakefulness import waking_within
from gimbal.faces.server.wiring import model_process, server_app, worker_process
from gimbal.kernel.errors import ConfigurationError, GimbalError
from gimbal.kernel.settings import Settings

_log = logging.getLogger(__name__)
_OBJECTS = 20_000
"""Made and not let go, after so many of which the newest are searched for cycles."""


def resolved_settings() -> Settings:
    """Return the settings that the supervisor resolved."""
    return msgspec.json.decode(os.environ["GIMBAL_RESOLVED_SETTINGS"], type=Settings)


async def _until_stopped(run: Callable[[Settings, asyncio.Event], Awaitable[None]], settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if "GIMBAL_LINK" in os.environ:

        def gone() -> None:
            loop.call_soon_threadsafe(stop.set)

        watch_parent(gone)
    await run(settings, stop)


async def run_server(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until stopped: finish the requests under way, then drain the writer."""
    async with server_app(settings) as app:
        await _serve(app, settings, settings.server.port, stop)


async def run_gateway(settings: Settings, stop: asyncio.Event) -> None:
    """Answer model calls until stopped, beside other processes on the same port."""
    async with gateway_app(settings) as app:
        await _serve(app, settings, settings.gateway.port, stop, shared=True)


async def _serve(app: App, settings: Settings, port: int, stop: asyncio.Event, *, shared: bool = False) -> None:
    config = uvicorn.Config(
        app,
        interface="asgi3",
        proxy_headers=False,
        host=settings.server.host,
        port=port,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
        loop="uvloop",
        http=PatientProtocol,
    )
    config.app = Forwarded(app, config.forwarded_allow_ips)
    server = Serving(config)
    listening = [_shared(settings.server.host, port)] if shared else None
    serving = asyncio.create_task(server.serve(sockets=listening), name="http")
    # What start-up made stays: keep it out of every later collection.
    gc.collect()
    gc.freeze()
    # Hardly anything of a request is in a cycle: looking for those after every 700 objects finds nothing, and costs 5 %.
    gc.set_threshold(_OBJECTS, *gc.get_threshold()[1:])
    stopping = asyncio.create_task(stop.wait())
    with waking_within(settings.gateway.wake_us):
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        server.stop()
        await serving


def _shared(host: str, port: int) -> socket.socket:
    """Return a listening socket beside those of other processes, among whom the kernel parts the connections."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((host.strip("[]"), port))
    return listener


ROLES: dict[str, Callable[[Settings, asyncio.Event], Awaitable[None]]] = {
    "server": run_server,
    "worker": worker_process,
    "model": model_process,
    "gateway": run_gateway,
}


def run(role: str, settings: Settings) -> int:
    """Run one role until stopped; return the exit code."""
    import uvloop

    logs.set_up(settings.log, role)
    try:
        uvloop.run(_until_stopped(ROLES[role], settings))
    except GimbalError as error:
        _log.error("%s", error)
        return 1
    return 0


def run_alone(role: str, settings: Settings) -> int:
    """Run one role without a supervisor; raise ConfigurationError when its stores are not where others reach them."""
    stores = {"catalog.url": settings.catalog.url, "columns.url": settings.columns.url, "blobs.url": settings.blobs.url}
    missing = [name for name, url in stores.items() if not url]
    if missing:
        raise ConfigurationError(
            f"A {role} alone needs stores that the others reach too: {', '.join(missing)} not set.",
            where="role",
            kept="everything as it was",
            todo="Set them, or leave --role out: `gimbal up` runs everything over stores in the data folder.",
        )
    preflight.make_folder(settings)
    if role == "server":
        preflight.check(settings)
    if role == "gateway":
        preflight.check_disk(settings)
    return run(role, settings)


def main() -> int:
    """Run the role that the supervisor names."""
    return run(sys.argv[1], resolved_settings())


if __name__ == "__main__":
    sys.exit(main())
