"""What endpoints predicted, with inputs: recorded before the caller is answered, read by windows of event time."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from gimbal.axis.endpoints.model import EndpointTraffic, Prediction
from gimbal.engines.storage.columns import Columns
from gimbal.engines.storage.writer import Writer
from gimbal.kernel.clock import from_us, to_us
from gimbal.kernel.context import Context
from gimbal.kernel.pages import DEFAULT_LIMIT, Page, check_limit, cursor_number, cursor_text, encode_cursor


class PredictionBatch(msgspec.Struct, frozen=True, kw_only=True):
    """One request's predictions."""

    endpoint: str
    version: str
    """Resolved reference."""
    ids: list[str]
    at_us: int
    event_us: Sequence[int]
    entities: Sequence[str]
    inputs: pa.Table
    """The features as they came: numbers, booleans and text."""
    predicted: Sequence[str]
    scores: Sequence[float | None]
    trace_id: str = ""


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """Predictions of a window."""

    ids: list[str]
    scores: np.ndarray
    """Shape (n,), NaN where there is none."""
    numbers: dict[str, np.ndarray]
    """Numeric feature → shape (n,), NaN where missing."""
    texts: dict[str, list[str | None]]
    """Text feature → n values."""
    versions: list[str]
    """Distinct versions that predicted."""


class Predictions:
    """The prediction log in the columns."""

    def __init__(self, columns: Columns, writer: Writer) -> None:
        self._columns = columns
        self._writer = writer

    async def record(self, ctx: Context, batch: PredictionBatch) -> None:
        """Store a batch durably; raise Busy or Unavailable, then nothing of it is stored."""
        n = len(batch.ids)
        number_names = [f.name for f in batch.inputs.schema if not _is_text(f.type)]
        text_names = [f.name for f in batch.inputs.schema if _is_text(f.type)]
        table = pa.table(
            {
                "project": pa.repeat(ctx.project or "default", n),
                "endpoint": pa.repeat(batch.endpoint, n),
                "prediction_id": pa.array(batch.ids, pa.string()),
                "at_us": pa.repeat(pa.scalar(batch.at_us, pa.int64()), n),
                "event_us": pa.array(batch.event_us, pa.int64()),
                "entity": pa.array(batch.entities, pa.string()),
                "version": pa.repeat(batch.version, n),
                "number_names": _same(number_names, n),
                "numbers": _interleaved(batch.inputs, number_names, pa.float64()),
                "text_names": _same(text_names, n),
                "texts": _interleaved(batch.inputs, text_names, pa.string()),
                "predicted": pa.array(batch.predicted, pa.string()),
                "score": pa.array(batch.scores, pa.float64()),
                "trace_id": pa.repeat(batch.trace_id, n),
            }
        )
        await self._writer.write("predictions", table)

    async def window(
        self, ctx: Context, endpoint: str, start_us: int, end_us: int, features: Sequence[str] | None = None
    ) -> Recorded:
        """Return the predictions whose event time lies in [start, end)."""
        table = await self._columns.arrow(
            "SELECT prediction_id, score, version, number_names, numbers, text_names, texts FROM predictions "
            "WHERE project = {project:String} AND endpoint = {endpoint:String} "
            "AND event_us >= {start:Int64} AND event_us < {end:Int64} "
            "ORDER BY event_us, prediction_id LIMIT 1 BY prediction_id",
            {"project": ctx.project or "default", "endpoint": endpoint, "start": start_us, "end": end_us},
        )
        wanted = None if features is None else set(features)
        return Recorded(
            ids=table["prediction_id"].to_pylist(),
            scores=_float_array(table["score"]),
            numbers={k: np.asarray(v, np.float64) for k, v in _columns_of(table, "number", "numbers", wanted).items()},
            texts=_columns_of(table, "text", "texts", wanted),
            versions=sorted(set(table["version"].cast(pa.string()).to_pylist())),
        )

    async def days(self, ctx: Context, endpoint: str) -> list[int]:
        """Return the days (since 1970 UTC, by event time) on which something was predicted, in order."""
        rows = await self._columns.query(
            "SELECT DISTINCT intDiv(event_us - positiveModulo(event_us, 86400000000), 86400000000) AS day FROM predictions "
            "WHERE project = {project:String} AND endpoint = {endpoint:String} ORDER BY day",
            {"project": ctx.project or "default", "endpoint": endpoint},
        )
        return [int(row["day"]) for row in rows]

    async def traffic(self, ctx: Context, endpoint: str) -> list[EndpointTraffic]:
        """Return predictions per day of event time, oldest first."""
        rows = await self._columns.query(
            "SELECT intDiv(event_us - positiveModulo(event_us, 86400000000), 86400000000) AS day, "
            "uniqExact(prediction_id) AS n, avg(score) AS mean FROM predictions WHERE project = {project:String} AND endpoint = {endpoint:String} "
            "GROUP BY day ORDER BY day",
            {"project": ctx.project or "default", "endpoint": endpoint},
        )
        return [
            EndpointTraffic(start=from_us(r["day"] * 86_400_000_000), predictions=r["n"], mean_score=r["mean"])
            for r in rows
        ]

    async def page(
        self,
        ctx: Context,
        endpoint: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        entity: str | None = None,
        cursor: str | None = None,
        limit: int = DEFAULT_LIMIT,
    ) -> Page[Prediction]:
        """Return predictions by event time, newest first, with their inputs."""
        conditions = ["project = {project:String}", "endpoint = {endpoint:String}"]
        values: dict[str, Any] = {"project": ctx.project or "default", "endpoint": endpoint}
        if since is not None:
            conditions.append("event_us >= {since:Int64}")
            values["since"] = to_us(since)
        if until is not None:
            conditions.append("event_us < {until:Int64}")
            values["until"] = to_us(until)
        if entity is not None:
            conditions.append("entity = {entity:String}")
            values["entity"] = entity
        if cursor is not None:
            conditions.append("(event_us, prediction_id) < ({at:Int64}, {id:String})")
            values |= {"at": cursor_number(cursor, "at"), "id": cursor_text(cursor, "id")}
        values["limit"] = check_limit(limit) + 1
        rows = await self._columns.query(
            "SELECT prediction_id, event_us, at_us, entity, version, predicted, score, trace_id, number_names, numbers, "
            f"text_names, texts FROM predictions WHERE {' AND '.join(conditions)} "
            "ORDER BY event_us DESC, prediction_id DESC LIMIT 1 BY prediction_id LIMIT {limit:UInt32}",
            values,
        )
        items = [_prediction(row) for row in rows[:limit]]
        more = encode_cursor({"at": to_us(items[-1].at), "id": items[-1].id}) if len(rows) > limit else None
        return Page(items=items, next=more)


def _prediction(row: dict[str, Any]) -> Prediction:
    names = (*row["text_names"], *row["number_names"])
    return Prediction(
        id=row["prediction_id"],
        at=from_us(row["event_us"]),
        recorded_at=from_us(row["at_us"]),
        entity=row["entity"],
        version=row["version"],
        predicted=row["predicted"],
        score=row["score"],
        trace_id=row["trace_id"],
        inputs=dict(zip(names, (*row["texts"], *map(_shown, row["numbers"])), strict=True)),
    )


def _shown(number: float | None) -> float | str | None:
    # JSON has no infinity, and null would say that it was missing.
    return number if number is None or math.isfinite(number) else str(number)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _same(names: list[str], n: int) -> pa.Array:
    """Return the same list n times."""
    offsets = pa.array(np.arange(n + 1, dtype=np.int32) * len(names), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(names * n, pa.string()))


def _interleaved(inputs: pa.Table, names: list[str], kind: pa.DataType) -> pa.Array:
    """Return per row the list of its values in the order of `names`, nulls kept."""
    n = inputs.num_rows
    offsets = pa.array(np.arange(n + 1, dtype=np.int32) * len(names), pa.int32())
    if not names:
        return pa.ListArray.from_arrays(offsets, pa.array([], kind))
    # Not `safe`: whole numbers past 2^53 are nobody's measurements, and a prediction is not lost for their last digit.
    columns = [inputs[name].combine_chunks().cast(kind, safe=False) for name in names]
    stacked = pa.concat_arrays(columns)
    order = (np.arange(len(names))[None, :] * n + np.arange(n)[:, None]).ravel()
    return pa.ListArray.from_arrays(offsets, stacked.take(pa.array(order)))


def _columns_of(table: pa.Table, prefix: str, values: str, wanted: set[str] | None) -> dict[str, Any]:
    """Return the values of each feature over all rows; rows of versions that lack one have None there."""
    names = table[f"{prefix}_names"].to_pylist()
    rows = table[values].to_pylist()
    kept = sorted({name for group in {tuple(n) for n in names} for name in group if wanted is None or name in wanted})
    found: dict[str, list[Any]] = {name: [None] * len(rows) for name in kept}
    places: dict[tuple[str, ...], list[tuple[str, int]]] = {}
    for at, (group, row) in enumerate(zip(names, rows, strict=True)):
        key = tuple(group)
        if key not in places:
            places[key] = [(name, i) for i, name in enumerate(key) if name in found]
        for name, i in places[key]:
            found[name][at] = row[i]
    return found


def _float_array(column: pa.ChunkedArray) -> np.ndarray:
    return column.to_numpy().astype(np.float64)
