"""What `gimbal doctor` checks, one finding each, with how to mend what is wrong."""

import importlib.metadata
import platform
import sqlite3
import time
from collections.abc import Callable, Iterator

import msgspec

from gimbal.faces.server import preflight
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.settings import Settings

_ENGINES = ("chdb", "clickhouse-connect", "sqlalchemy", "pyarrow", "obstore")


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
    yield _checked("data folder", lambda: f"{preflight.make_folder(settings)} can be written")
    yield _checked("disk", lambda: f"{preflight.check_disk(settings) / 1e9:,.1f} GB free")
    yield from _ports(settings)
    yield _clock()
    yield _stores(settings)


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


def _ports(settings: Settings) -> Iterator[Finding]:
    server = settings.server
    if preflight.answers(settings, "/healthz"):
        yield Finding(part="server", state="ok", message=f"Gimbal is up on {server.host}:{server.port}")
        return
    for part, port, setting in (
        ("port", server.port, "server.port"),
        ("grpc port", server.grpc_port, "server.grpc_port"),
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


def _stores(settings: Settings) -> Finding:
    named = {"catalog": settings.catalog.url, "columns": settings.columns.url, "blobs": settings.blobs.url}
    remote = [name for name, url in named.items() if url]
    if not remote:
        return Finding(part="stores", state="ok", message="embedded: SQLite, chDB and a folder")
    return Finding(part="stores", state="ok", message=f"remote: {', '.join(remote)}; /readyz asks them")
