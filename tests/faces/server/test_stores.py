"""Opening the stores: what one of them refuses leaves the others as they were."""

import sqlite3
import subprocess
import sys
from pathlib import Path

# By itself: a process opens the embedded columns of one folder at a time.
_OPENS = """
import asyncio, sys
from gimbal.engines.storage.columns import Columns
from gimbal.faces.server.stores import columns_folder, open_stores
from gimbal.kernel.errors import ConfigurationError
from gimbal.kernel.settings import load_settings

async def main():
    settings = load_settings(environ={"GIMBAL_DATA": sys.argv[1]}).settings
    try:
        async with open_stores(settings, owner=True, link=None):
            print("opened")
    except ConfigurationError as problem:
        print("refused", problem.where)
    for folder in (sys.argv[2], columns_folder(settings)):
        store = await Columns.open(f"chdb://{folder}")
        tables = await store.query("SELECT name FROM system.tables WHERE database = currentDatabase()")
        print(len(tables) > 0)
        await store.close()

asyncio.run(main())
"""


def _opened(data: Path, elsewhere: Path) -> list[str]:
    words = [sys.executable, "-c", _OPENS, str(data), str(elsewhere)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.split("\n")[:3]


def test_a_catalog_that_is_refused_leaves_the_columns_as_they_are(tmp_path: Path) -> None:
    """They are opened beside it, and closed again without a change: other columns can be opened then."""
    data = tmp_path / "data"
    data.mkdir()
    with sqlite3.connect(data / "catalog.sqlite") as catalog:
        catalog.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
        catalog.execute("INSERT INTO alembic_version VALUES ('9999')")
    catalog.close()

    assert _opened(data, tmp_path / "a") == ["refused catalog", "False", "False"]
    (data / "catalog.sqlite").unlink()
    assert _opened(data, tmp_path / "b") == ["opened", "False", "True"]
