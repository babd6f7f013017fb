"""Rows by many keys, in a statement whose text is always the same.

SQLAlchemy's IN has a parameter for each key: words and parameters are put together anew for every list, and the engine
plans what it has not seen in those words. Here all keys are one parameter.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class _Keys(sa.types.TypeDecorator[Sequence[int]]):
    """Whole numbers as one value: JSON, or an array where the engine has those."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Return how the engine takes them."""
        return dialect.type_descriptor(
            postgresql.ARRAY(sa.BigInteger) if dialect.name == "postgresql" else sa.Text()  # pyright: ignore[reportUnknownArgumentType]
        )

    def process_bind_param(self, value: Sequence[int] | None, dialect: sa.Dialect) -> Any:
        """Give the engine what it takes."""
        keys = list(value or ())
        return keys if dialect.name == "postgresql" else msgspec.json.encode(keys).decode()


class Among(FunctionElement[bool]):
    """Whether a column's whole number is one of those that the parameter `keys` has."""

    type = sa.Boolean()
    inherit_cache = True
    name = "among"

    def __init__(self, column: sa.ColumnElement[int]) -> None:
        super().__init__(column, sa.bindparam("keys", type_=_Keys()))

    def self_group(self, against: Any = None) -> Any:
        """Return itself: compared with 1, as SQLAlchemy would write it for SQLite, it would be asked of every row."""
        return self


@compiles(Among)
def _of_array(found: Among, compiler: Any, **words: Any) -> str:
    column, keys = found.clauses
    return f"{compiler.process(column, **words)} = ANY({compiler.process(keys, **words)})"


@compiles(Among, "sqlite")
def _of_json(found: Among, compiler: Any, **words: Any) -> str:
    column, keys = found.clauses
    return f"{compiler.process(column, **words)} IN (SELECT value FROM json_each({compiler.process(keys, **words)}))"
