"""Opens the three stores and the writer for one process, and closes them in order.

The embedded columns belong to the server process; the others reach them through its loopback endpoint (`Link`).
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec
import uvicorn

from gimbal.engines.storage import migrate
from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog, sqlite_url
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.dialect import ColumnsEndpoint
from gimbal.engines.storage.writer import Writer
from gimbal.faces.server.preflight import make_folder
from gimbal.faces.server.serving import Serving
from gimbal.faces.server.supervisor import Link
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.settings import Settings

MIGRATIONS = Path(__file__).parent / "migrations"
_log = logging.getLogger(__name__)


class Stores(msgspec.Struct, frozen=True, kw_only=True):
    """What one process has open."""

    catalog: Catalog
    columns: Columns
    blobs: Blobs
    writer: Writer


def link_from_environment() -> Link | None:
    """Return what the supervisor shares with its children; None in a process that runs alone."""
    text = os.environ.get("GIMBAL_LINK")
    return msgspec.json.decode(text, type=Link) if text else None


def catalog_url(settings: Settings) -> str:
    """Return the address of the catalog in force."""
    return settings.catalog.url or sqlite_url(settings.folder / "catalog.sqlite")


def blobs_url(settings: Settings) -> str:
    """Return the address of the blob store in force."""
    return settings.blobs.url or f"file://{settings.folder / 'blobs'}"


def columns_folder(settings: Settings) -> Path:
    """Return the folder of the embedded columns."""
    return settings.folder / "columns"


@contextlib.asynccontextmanager
async def open_stores(settings: Settings, *, owner: bool, link: Link | None) -> AsyncGenerator[Stores]:
    """Open the stores; the `owner` (the server) also brings their schemas up to date and lends the columns."""
    await asyncio.to_thread(make_folder, settings)
    catalog = Catalog.open(
        catalog_url(settings), pool_size=settings.catalog.pool_size, busy_timeout_ms=settings.catalog.busy_timeout_ms
    )
    embedded = not settings.columns.url
    if embedded and not owner:
        if link is None:
            message = "a process without a supervisor needs columns.url"
            raise RuntimeError(message)
        url, password = f"http://gimbal@127.0.0.1:{link.columns_port}", link.token
    else:
        url, password = settings.columns.url or f"chdb://{columns_folder(settings)}", ""
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(catalog.close)
        # Beside the catalog: each of the two takes half a second of its own.
        opening = asyncio.create_task(
            Columns.open(url, max_memory_bytes=settings.columns.max_memory_bytes, password=password)
        )
        stack.push_async_callback(_close, opening)
        if owner:
            await asyncio.to_thread(migrate.catalog, catalog_url(settings), MIGRATIONS / "catalog")
        columns = await opening
        if owner:
            await migrate.columns(columns, MIGRATIONS / "columns")
        writer = Writer(columns, settings.writer)
        writer.start()
        stack.push_async_callback(writer.close)
        if owner and embedded and link is not None:
            await stack.enter_async_context(_lend(columns_folder(settings), link))
        blobs = Blobs.open(blobs_url(settings), endpoint=settings.blobs.endpoint)
        yield Stores(catalog=catalog, columns=columns, blobs=blobs, writer=writer)


async def _close(opening: asyncio.Task[Columns]) -> None:
    """Close the columns, also those that were still opening when the catalog refused; why they did not open was said."""
    with contextlib.suppress(GimbalError):
        await (await opening).close()


@contextlib.asynccontextmanager
async def _lend(folder: Path, link: Link) -> AsyncGenerator[None]:
    """Serve the embedded columns to our own processes on loopback."""
    endpoint = ColumnsEndpoint(folder, link.token)
    config = uvicorn.Config(endpoint, host="127.0.0.1", port=link.columns_port, lifespan="off", log_config=None)
    server = Serving(config)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind(("127.0.0.1", link.columns_port))
    task = asyncio.create_task(server.serve(sockets=[listener]), name="columns-endpoint")
    try:
        yield
    finally:
        server.stop()
        await task
        await endpoint.close()
