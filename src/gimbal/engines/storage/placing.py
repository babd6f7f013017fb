"""Many small blobs put into a folder at once: each file is synced, and each folder once for all that is new in it.

A crash leaves whole blobs or none, as after single ones; most of what a single one takes is the wait for its folders.
"""

import os
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gimbal.engines.storage.uploads import sync_folder, told, write_at

# File systems put the syncs of several files that wait at once into one.
_AT_ONCE = 4


def touched(path: Path) -> bool:
    """Tell whether a file is there, and let it count as written just now."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def place_all(root: Path, contents: Mapping[str, bytes]) -> None:
    """Let there be a file of each content by its key, durably; raise DiskFull, and then some may be there."""
    missing = {root / key: content for key, content in contents.items() if not touched(root / key)}
    if not missing:
        return
    name = secrets.token_hex(16)
    parts = [root / "tmp" / f"{name}-{number}.part" for number in range(len(missing))]
    try:
        with told(), ThreadPoolExecutor(_AT_ONCE, "blobs") as pool:
            # Nothing has its name before it is whole on the disk.
            list(pool.map(_write, parts, missing.values()))
            folders = {root}
            for part, target in zip(parts, missing, strict=True):
                parent = target.parent
                if parent not in folders:
                    parent.mkdir(parents=True, exist_ok=True)
                    folders |= {parent, parent.parent}
                part.replace(target)
            list(pool.map(sync_folder, folders))
    except BaseException:
        for part in parts:
            part.unlink(missing_ok=True)
        raise


def _write(path: Path, content: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        write_at(file, [content], 0)
        os.fsync(file)
    finally:
        os.close(file)
