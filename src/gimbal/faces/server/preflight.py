"""What must hold before Gimbal starts, each named plainly when it does not: folder, lock, ports, disk, address.

`gimbal doctor` shows the same checks one by one.
"""

import contextlib
import errno
import fcntl
import http.client
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from gimbal.kernel.errors import ConfigurationError, DataFolderLocked, DiskFull, PortInUse
from gimbal.kernel.settings import MIB, Settings

LEAST_FREE = 256 * MIB


@contextlib.contextmanager
def folder_lock(settings: Settings) -> Iterator[Path]:
    """Hold the data folder for one installation; raise DataFolderLocked that names who holds it."""
    folder = make_folder(settings)
    with _open_lock(folder / "lock") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise DataFolderLocked(
                f"Another Gimbal (process {holder}) uses this data folder.",
                where=str(folder),
                kept="everything as it was",
                todo="Use that one, stop it first, or give another folder with --data.",
            ) from None
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield folder


def _open_lock(path: Path) -> TextIO:
    try:
        return path.open("a+")
    except OSError as problem:
        raise ConfigurationError(
            f"The lock of the data folder cannot be opened: {problem.strerror}.",
            where=str(path),
            kept="everything as it was",
            todo="Start Gimbal as the user who owns the folder, or give another folder with --data.",
        ) from None


def make_folder(settings: Settings) -> Path:
    """Create the data folder, readable by its owner only; raise ConfigurationError when that cannot be."""
    folder = settings.folder
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = folder / ".probe"
        probe.write_bytes(b"ok")
        probe.unlink()
    except OSError as problem:
        kind = DiskFull if problem.errno == errno.ENOSPC else ConfigurationError
        raise kind(
            f"The data folder cannot be written: {problem.strerror}.",
            where=str(folder),
            todo="Make room, correct its rights, or give another folder with --data.",
        ) from None
    return folder


def nearest(folder: Path) -> Path:
    """Return the folder, or the nearest of its parents that is there."""
    folder = folder.absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def check_disk(settings: Settings) -> int:
    """Return the free bytes where the data folder is; raise DiskFull when they would not last."""
    free = shutil.disk_usage(nearest(settings.folder)).free
    if free < LEAST_FREE:
        raise DiskFull(
            f"Only {free // MIB} MB are free, and {LEAST_FREE // MIB} MB is the least to work with.",
            where=str(settings.folder),
            kept="everything as it was",
            todo="Make room there, or give a data folder on another disk with --data.",
        )
    return free


def check_port(host: str, port: int, setting: str) -> None:
    """Raise PortInUse when nothing can listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except OSError as problem:
            if problem.errno == errno.EADDRINUSE:
                raise PortInUse(
                    f"Another program listens on {host}:{port}.",
                    where=setting,
                    todo=f"Stop it, or choose another port with {_how_to_set(setting)}.",
                ) from None
            raise ConfigurationError(
                f"{host}:{port} cannot be listened on: {problem.strerror}.",
                where=setting,
                todo="Give an address of this machine with --host, or a port from 1024 up.",
            ) from None


def _how_to_set(setting: str) -> str:
    group, _, name = setting.partition(".")
    return f"--{name.replace('_', '-')}" if group == "server" else f"{setting} in gimbal.toml"


def check(settings: Settings) -> None:
    """Check all of it; the first that fails raises."""
    check_disk(settings)
    check_port(settings.server.host, settings.server.port, "server.port")
    if settings.server.grpc_port:
        check_port(settings.server.host, settings.server.grpc_port, "server.grpc_port")
    if settings.gateway.processes:
        if settings.gateway.port == settings.server.port:
            raise ConfigurationError(
                f"The server and its gateway processes cannot both listen on port {settings.server.port}.",
                where="gateway.port",
                kept="everything as it was",
                todo="Give them different ports: gateway.port in gimbal.toml, or --port.",
            )
        check_port(settings.server.host, settings.gateway.port, "gateway.port")


def answers(settings: Settings, path: str, timeout: float = 1.0) -> bool:
    """Tell whether the server answers 200 on `path`."""
    host = settings.server.host
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - not bound here, only asked on loopback
        host = "127.0.0.1"
    connection = http.client.HTTPConnection(host, settings.server.port, timeout=timeout)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
