"""What several rooms' catalog tables need on both engines: rows that never change, and inserts that may find one there.

`append_only` declares a rule beside the table; `create_all` and `migrate.catalog` put it in force as triggers, so that
it holds for every program that opens the database.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from gimbal.engines.storage.catalog import metadata

_RULES = "append_only"
_ANY = sa.literal(1)
# Class 23 (integrity), so that drivers raise the same kind of error on both engines.
_REFUSE = """
CREATE OR REPLACE FUNCTION gimbal_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING MESSAGE = 'the table ' || TG_TABLE_NAME || ' is append-only', ERRCODE = 'restrict_violation';
END $$
"""


def append_only(table: sa.Table, *, forbid: Sequence[str] = ("UPDATE", "DELETE")) -> sa.Table:
    """Declare that rows of `table` are never changed (or, by `forbid`, only not in some way); return the table."""
    metadata.info.setdefault(_RULES, {})[table.name] = tuple(forbid)

    @event.listens_for(table, "after_create")
    def _protect(_: sa.Table, connection: sa.Connection, **__: Any) -> None:
        _put_in_force(connection, table.name, forbid)

    return table


def protect(connection: sa.Connection) -> list[str]:
    """Put every declared rule in force where its trigger is missing; return the names of the triggers made."""
    made: list[str] = []
    present = set(sa.inspect(connection).get_table_names())
    for name, forbid in metadata.info.get(_RULES, {}).items():
        if name in present:
            made += _put_in_force(connection, name, forbid)
    return made


def _put_in_force(connection: sa.Connection, table: str, forbid: Sequence[str]) -> list[str]:
    on_postgres = connection.dialect.name == "postgresql"
    query = (
        "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgrelid = to_regclass(:table)"
        if on_postgres
        else "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :table"
    )
    there = set(connection.execute(sa.text(query), {"table": table}).scalars())
    wanted = {f"{table}_no_{verb.lower()}": verb for verb in forbid}
    if on_postgres and "DELETE" in forbid:
        wanted[f"{table}_no_truncate"] = "TRUNCATE"
    missing = {name: verb for name, verb in wanted.items() if name not in there}
    if missing and on_postgres:
        connection.exec_driver_sql(_REFUSE)
    for name, verb in missing.items():
        connection.exec_driver_sql(
            f"CREATE TRIGGER {name} BEFORE {verb} ON {table} FOR EACH STATEMENT EXECUTE FUNCTION gimbal_append_only()"
            if on_postgres
            else f"CREATE TRIGGER {name} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, 'the table {table} is append-only'); END"
        )
    return list(missing)


async def insert_missing(tx: AsyncConnection, table: sa.Table, values: Mapping[str, Any]) -> bool:
    """Insert a row unless one with its key is there; tell whether it was inserted.

    On PostgreSQL it waits for a transaction that is inserting the same key.
    """
    return await insert_counted(tx, table, values, _ANY) is not None


async def insert_counted(
    tx: AsyncConnection, table: sa.Table, values: Mapping[str, Any], key: sa.ColumnElement[int]
) -> int | None:
    """Insert a row as `insert_missing` does; return the key that the engine gave it, None where one was there."""
    return (await tx.execute(_inserting(tx.dialect.name, table, key), dict(values))).scalar()


@functools.cache
def _inserting(dialect: str, table: sa.Table, key: sa.ColumnElement[int]) -> sa.Insert:
    """Return the statement for a table, made once: to put it together takes longer than SQLite needs to carry it out."""
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return insert(table).on_conflict_do_nothing().returning(key)
