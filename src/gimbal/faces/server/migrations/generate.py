"""Writes a catalog migration for what the tables have and the scripts have not: `make migration NAME=what`."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from gimbal.engines.storage.catalog import DecimalText, Json, Utc, metadata
from gimbal.engines.storage.migrate import newest_revision
from gimbal.faces.server import capabilities

SCRIPTS = Path(__file__).parent / "catalog"


def render_type(kind: str, value: Any, context: Any) -> str | bool:
    """Write our own column types by their short names, which the script imports."""
    if kind == "type" and isinstance(value, DecimalText | Json | Utc):
        return f"{type(value).__name__}()"
    return False


def generate(name: str) -> None:
    """Write the next script, from the difference between the tables and a database that all scripts made."""
    capabilities.load_operations()
    with tempfile.TemporaryDirectory() as folder:
        engine = sa.create_engine(f"sqlite:///{folder}/catalog.sqlite")
        config = Config()
        config.set_main_option("script_location", str(SCRIPTS))
        config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
        with engine.connect() as connection:
            config.attributes |= {
                "connection": connection, "target_metadata": metadata, "render_item": render_type,
            }  # fmt: skip
            first = not list(SCRIPTS.glob("versions/[0-9]*.py"))
            number = "0001" if first else f"{int(newest_revision(SCRIPTS)) + 1:04d}"
            if not first:
                command.upgrade(config, "head")
            command.revision(config, name, autogenerate=True, rev_id=number)


if __name__ == "__main__":
    generate(" ".join(sys.argv[1:]) or "change")
