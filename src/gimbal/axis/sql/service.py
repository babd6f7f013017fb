"""Runs statements for a project: checked, written anew, bounded, and told what stopped them."""

import contextlib
import re
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

import pyarrow as pa

from gimbal.axis.sql import formats, guard, views
from gimbal.axis.sql.model import MEDIA_TYPES, Format, SqlColumn, SqlResult
from gimbal.engines.storage.bounded import BoundedReads, Bounds, Reading, Refused
from gimbal.engines.storage.columns import Columns
from gimbal.kernel.clock import parse_time, to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, Busy, DeadlineExceeded, GimbalError, TooLarge, Unavailable
from gimbal.kernel.http import Download
from gimbal.kernel.settings import SqlSettings

_TIMEOUT, _MEMORY, _ROWS, _CANCELLED = {159, 160}, {241}, {158, 307, 396}, {394}
_NARROWER = "Add a range of time, like start_time >= now() - INTERVAL 1 DAY, or ask for fewer columns."
_SHOWN = 400
# From here on the engine speaks of what it was given, which is not what the caller wrote.
_INNER = re.compile(r"(?:: )?(?:In scope|while executing|While executing|\(version|: while)\b.*", re.DOTALL)


class Sql:
    """Questions in SQL."""

    def __init__(self, columns: Columns, settings: SqlSettings) -> None:
        self._columns = columns
        self._settings = settings
        self._reads = BoundedReads(columns, most=settings.concurrency)
        self._running: Counter[str] = Counter()

    async def query(self, ctx: Context, text: str, parameters: Mapping[str, Any], limit: int) -> SqlResult:
        """Return the first rows of an answer; raise what stopped it."""
        if not 1 <= limit <= self._settings.max_rows:
            raise BadInput(
                f"An answer cannot have {limit} rows.",
                where="limit",
                todo=f"Ask for 1 to {self._settings.max_rows:,}; `gimbal sql export` has no limit.",
            )
        began = time.monotonic()
        found: list[list[Any]] = []
        async with self._reading(ctx, text, parameters, self._settings.max_seconds, limit + 1) as reading:
            async for batch in reading:
                found += formats.rows(batch.slice(0, limit + 1 - len(found)))
                if len(found) > limit:
                    break
            columns = [SqlColumn(name=field.name, type=formats.type_name(field)) for field in reading.schema]
        return SqlResult(
            columns=columns,
            rows=found[:limit],
            truncated=len(found) > limit,
            elapsed_ms=round((time.monotonic() - began) * 1000, 1),
        )

    async def export(self, ctx: Context, text: str, parameters: Mapping[str, Any], format_: Format) -> Download:
        """Return all rows of an answer as a file that streams."""
        guard.check(text)

        async def chunks() -> AsyncIterator[bytes]:
            async with (
                self._reading(ctx, text, parameters, self._settings.export_max_seconds, 0) as reading,
                contextlib.aclosing(_batches(reading)) as batches,
            ):
                async for chunk in formats.encode(format_, reading.schema, batches):
                    if chunk:
                        yield chunk

        return Download(chunks=chunks(), media_type=MEDIA_TYPES[format_], filename=f"gimbal.{format_}")

    @contextlib.asynccontextmanager
    async def _reading(
        self, ctx: Context, text: str, parameters: Mapping[str, Any], seconds: float, rows: int
    ) -> AsyncIterator[Reading]:
        project = ctx.project or "default"
        checked = guard.check(text)
        values = _values(checked.parameters, parameters)
        if checked.views:
            values[guard.RESERVED] = project
        with self._place(project), self._told():
            sql = checked.sql(await self._states(checked, values, seconds))
            filters = engine_filters(await self._reads.tables(), project)
            async with self._reads.read(sql, values, self.bounds(seconds, rows), filters) as reading:
                if len(set(reading.schema.names)) < len(reading.schema.names):
                    raise BadInput("Two columns bear the same name.", where="query", todo="Give them names with AS.")
                yield reading

    async def _states(
        self, checked: guard.Checked, values: Mapping[str, Any], seconds: float
    ) -> dict[str, views.State]:
        """Return what there is in each stretch of time in which spans are read."""
        found: dict[str, views.State] = {}
        for bounds in {one.bounds for one in checked.views if views.of_spans(one.view)}:
            sql = views.state(views.inside(bounds))
            used = {name: value for name, value in values.items() if f"{{{name}:" in sql}
            async with self._reads.read(sql, used, self.bounds(seconds, 0), {}) as reading:
                rows = [row async for batch in reading for row in formats.rows(batch)]
            found[bounds] = views.State(*(bool(value) for value in rows[0]))
        return found

    def bounds(self, seconds: float, rows: int) -> Bounds:
        """Return what a statement may take."""
        return Bounds(
            seconds=seconds,
            memory_bytes=self._settings.max_memory_bytes,
            rows_read=self._settings.max_rows_read,
            rows=rows,
        )

    @contextlib.contextmanager
    def _place(self, project: str) -> Any:
        """Hold one of the project's places; raise Busy when there is none."""
        running = self._running
        if running[project] >= self._settings.per_project or running.total() >= self._settings.concurrency:
            raise Busy(
                f"{running[project]} statements of this project run already, and {running.total()} in all.",
                where="sql.per_project, sql.concurrency",
                todo="Wait until one has ended.",
                retry_after=1.0,
            )
        running[project] += 1
        try:
            yield
        finally:
            running[project] -= 1

    @contextlib.contextmanager
    def _told(self) -> Any:
        try:
            yield
        except Refused as problem:
            raise self.error(problem) from None

    def error(self, problem: Refused) -> GimbalError:
        """Return what to tell of what the engine refused."""
        if problem.code in _TIMEOUT:
            return DeadlineExceeded("The statement took longer than it may.", where="sql.max_seconds", todo=_NARROWER)
        if problem.code in _MEMORY:
            return TooLarge(
                "The statement needs more memory than it may.", where="sql.max_memory_bytes", todo=_NARROWER
            )
        if problem.code in _ROWS:
            return TooLarge(
                f"The statement would read more than {self._settings.max_rows_read:,} rows.",
                where="sql.max_rows_read",
                todo=_NARROWER,
            )
        if problem.code in _CANCELLED:
            return Unavailable("The statement was ended.", todo="Send it again.")
        if not problem.code:
            return Unavailable("The columns do not answer.", todo="Try again; `gimbal doctor` checks them.")
        words = problem.message.partition("DB::Exception:")[2] or problem.message
        told = _INNER.sub("", words.strip()).strip(" .:")[:_SHOWN]
        return BadInput(f"The statement cannot be answered: {told}.", where="query", todo="Mend it and ask again.")


async def _batches(reading: Reading) -> AsyncGenerator[pa.RecordBatch]:
    async for batch in reading:
        yield batch


def engine_filters(tables: Mapping[str, bool], project: str) -> dict[str, str]:
    """Return the second wall: what the engine itself lets be read of each table, whatever the statement is."""
    own = "project = '" + project.replace("\\", "\\\\").replace("'", "\\'") + "'"
    found = {name: own if ours else "0" for name, ours in tables.items() if name != "system.one"}
    # A table function is a table of this name to the engine.
    return found | {"_table_function.merge": own, "_table_function.mergeTreeIndex": "0"}


def _values(kinds: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a statement; raise BadInput for one that is missing, too many, or no plain value."""
    for name in [*kinds, *given]:
        if name not in given:
            raise BadInput(f"The parameter {name!r} has no value.", where="parameters", todo="Give it one.")
        if name not in kinds:
            raise BadInput(
                f"The statement has no parameter {name!r}.",
                where="parameters",
                todo="Write it like {since:DateTime64(6)}.",
            )
        _plain(name, given[name])
    return {name: _moment(kinds[name], value) for name, value in given.items()}


def _moment(kind: str, value: Any) -> Any:
    """Return a time as the engine reads it whatever zone it is in; what is no time stays as it is."""
    if "DateTime" not in kind or not isinstance(value, str):
        return value
    try:
        us = to_us(parse_time(value))
    except GimbalError:
        return value
    return f"{us // 1_000_000}.{us % 1_000_000:06}" if "64" in kind else f"{us // 1_000_000}"


def _plain(name: str, value: Any) -> None:
    if isinstance(value, list):
        for one in value:
            _plain(name, one)
    elif not (value is None or isinstance(value, str | int | float | bool)):
        raise BadInput(
            f"The parameter {name!r} is no plain value.", where="parameters", todo="Give a text, a number or a list."
        )
