"""What `gimbal doctor` checks, one finding each, with how to mend what is wrong."""

import asyncio
import importlib.metadata
import logging
import os
import platform
import sqlite3
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable, Iterator

import msgspec
import sqlalchemy as sa

from gimbal.engines.storage.blobs import Blobs
from gimbal.engines.storage.catalog import Catalog
from gimbal.engines.storage.columns import server_version
from gimbal.faces.server import preflight
from gimbal.faces.server.stores import catalog_url
from gimbal.faces.server.wakefulness import DEVICE, refusal
from gimbal.kernel.errors import ConfigurationError, GimbalError
from gimbal.kernel.settings import Settings, mask_password

_PATIENCE_S = 10.0
_ANEW = "Install 'gimbal-ops[server]' anew."
_ENGINES = ("chdb", "clickhouse-connect", "sqlalchemy", "pyarrow", "obstore")
# Since then text indexes need no setting.
_OLDEST_COLUMNS = (26, 2)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was checked."""

    part: str
    state: str
    """`ok`, `warn` or `fail`."""
    message: str
    todo: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield one finding after the other."""
    yield _python()
    yield from _engines()
    yield _checked("data folder", lambda: _folder(settings))
    yield _checked("disk", lambda: f"{preflight.check_disk(settings) / 1e9:,.1f} GB free")
    yield from _ports(settings)
    yield _clock()
    if settings.gateway.wake_us is not None:
        yield _wakefulness()
    yield from _stores(settings)


def _python() -> Finding:
    version = platform.python_version()
    return Finding(part="python", state="ok", message=f"{version} on {platform.system()} {platform.machine()}")


def _engines() -> Iterator[Finding]:
    for name in _ENGINES:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(part=name, state="fail", message="not installed", todo="pip install 'gimbal-ops[server]'")
        else:
            yield Finding(part=name, state="ok", message=version)
    if sqlite3.sqlite_version_info < (3, 35):
        yield Finding(
            part="sqlite",
            state="fail",
            message=sqlite3.sqlite_version,
            todo="Use a Python built on SQLite 3.35 or newer.",
        )
    else:
        yield Finding(part="sqlite", state="ok", message=sqlite3.sqlite_version)


def _checked(part: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(part=part, state="ok", message=check())
    except GimbalError as error:
        return Finding(part=part, state="fail", message=error.message, todo=error.todo)
    except OSError as problem:
        todo = "Run it as the user who runs Gimbal."
        return Finding(part=part, state="fail", message=f"{problem.strerror}: {problem.filename}", todo=todo)


def _folder(settings: Settings) -> str:
    """Try the folder, or, so that a look changes nothing, only its nearest parent where it is not there yet."""
    if settings.folder.exists():
        return f"{preflight.make_folder(settings)} can be written"
    parent = preflight.nearest(settings.folder)
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"The data folder {settings.folder} cannot be made in {parent}.",
            todo="Correct its rights, or give another folder with --data.",
        )
    return f"{settings.folder} can be made"


def _ports(settings: Settings) -> Iterator[Finding]:
    server = settings.server
    if preflight.answers(settings, "/healthz"):
        yield Finding(part="server", state="ok", message=f"Gimbal is up on {server.host}:{server.port}")
        return
    for part, port, setting in (
        ("port", server.port, "server.port"),
        ("grpc port", server.grpc_port, "server.grpc_port"),
        ("gateway port", settings.gateway.port if settings.gateway.processes else 0, "gateway.port"),
    ):
        if port:
            yield _checked(part, lambda p=port, s=setting: _free(server.host, p, s))


def _free(host: str, port: int, setting: str) -> str:
    preflight.check_port(host, port, setting)
    return f"{host}:{port} is free"


def _clock() -> Finding:
    year = time.gmtime().tm_year
    if not 2026 <= year < 2100:
        return Finding(
            part="clock", state="fail", message=f"the year is {year}", todo="Set the clock; ids and times need it."
        )
    return Finding(part="clock", state="ok", message=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()))


def _wakefulness() -> Finding:
    if not (why := refusal(DEVICE)):
        return Finding(part="wake-up", state="ok", message=f"{DEVICE} can be written")
    return Finding(
        part="wake-up",
        state="warn",
        message=f"{DEVICE} cannot be written ({why}), so gateway.wake_us has no effect",
        todo="Run as root on Linux, give this user the device, or leave the setting out.",
    )


def _stores(settings: Settings) -> Iterator[Finding]:
    """Ask each store that is elsewhere, and see of the embedded ones that their engine runs."""
    # Its driver logs what it raises as well.
    logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())
    yield _asked("catalog", settings.catalog.url, lambda: _catalog(settings))
    yield _asked("columns", settings.columns.url, lambda: _columns(settings))
    yield _asked("blobs", settings.blobs.url, lambda: _blobs(settings))


def _asked(part: str, url: str, ask: Callable[[], Awaitable[str]]) -> Finding:
    async def bounded() -> str:
        async with asyncio.timeout(_PATIENCE_S):
            return await ask()

    elsewhere = f"See that {mask_password(url)} is right, and that it is up."
    try:
        return Finding(part=part, state="ok", message=asyncio.run(bounded()))
    except TimeoutError:
        message, todo = f"no answer within {_PATIENCE_S:g} s", elsewhere
    except GimbalError as error:
        message, todo = error.message, elsewhere if url else error.todo
    except Exception as problem:  # noqa: BLE001 - whatever an engine does while it is loaded, the doctor goes on
        message, todo = f"{type(problem).__name__}: {problem}", _ANEW
    return Finding(part=part, state="fail", message=message.partition("\n")[0][:200], todo=todo)


async def _catalog(settings: Settings) -> str:
    file = settings.folder / "catalog.sqlite"
    if not settings.catalog.url and not file.exists():
        return "SQLite, in the data folder; made at the first start"
    catalog = Catalog.open(catalog_url(settings))
    try:
        async with catalog.read() as tx:
            if catalog.dialect == "postgresql":
                return f"PostgreSQL {(await tx.execute(sa.text('SHOW server_version'))).scalar_one()} answers"
            told = (await tx.execute(sa.text("PRAGMA quick_check(1)"))).scalar_one()
    finally:
        await catalog.close()
    if told != "ok":
        raise ConfigurationError(f"{file} is damaged: {told}.", todo="Restore a backup with `gimbal restore`.")
    return f"SQLite, in the data folder, {file.stat().st_size / 1e6:,.1f} MB, sound"


async def _columns(settings: Settings) -> str:
    if settings.columns.url:
        found = await asyncio.to_thread(server_version, settings.columns.url)
        if tuple(int(part) for part in found.split(".")[:2]) < _OLDEST_COLUMNS:
            raise ConfigurationError(
                f"ClickHouse {found} has no index of words yet.",
                todo=f"Take ClickHouse {'.'.join(map(str, _OLDEST_COLUMNS))} or later.",
            )
        return f"ClickHouse {found} answers"
    # In a process of its own: where the engine cannot run (an old CPU, say) it ends its process without a word.
    probe = "import chdb; print(chdb.query('SELECT version()', 'TSVRaw'))"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", probe, stdout=PIPE, stderr=PIPE)
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        why = err.decode(errors="replace").strip().rpartition("\n")[2] or f"it ended with {process.returncode}"
        raise ConfigurationError(f"chDB does not run here: {why}", todo=_ANEW)
    return f"chDB runs, ClickHouse {out.decode().strip()}"


async def _blobs(settings: Settings) -> str:
    if not settings.blobs.url:
        return "a folder, in the data folder"
    await Blobs.open(settings.blobs.url, endpoint=settings.blobs.endpoint).ping()
    return f"{settings.blobs.url.partition('://')[0]} answers"
