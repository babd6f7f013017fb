"""Points as they stand in the journal: one record for each request, its columns packed, and many records made ready at once."""

from array import array
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gimbal.axis.runs.desk import RunRow
from gimbal.axis.runs.points import store
from gimbal.axis.runs.points.latest import Newest
from gimbal.axis.runs.points.model import Point, PointBatch
from gimbal.kernel.clock import to_us

T = TypeVar("T", bound=np.generic)


class Record(msgspec.Struct, frozen=True, array_like=True):
    """The points of one request."""

    journal: str
    """Which one it was put into, and the how manieth of that it is: so its own process knows when it is stored."""
    number: int
    project: str
    run_id: str
    run_key: int
    experiment_key: int
    started_us: int
    names: list[str]
    name: bytes
    step: bytes
    at_us: bytes
    value: bytes


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Points for both stores."""

    table: pa.Table
    newest: list[Newest]
    stored: dict[str, int]
    """By journal the number of the last record that is in it."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)


def packed(run: RunRow, batch: PointBatch, *, journal: str = "", number: int = 0) -> bytes:
    """Return points of a run as a record."""
    places: dict[str, int] = {}
    index = array("i", [places.setdefault(name, len(places)) for name in batch.names])
    return _encoder.encode(
        Record(
            journal,
            number,
            run.project,
            run.id,
            run.key,
            run.experiment_key,
            to_us(run.started_at),
            list(places),
            index.tobytes(),
            array("q", batch.steps).tobytes(),
            array("q", batch.at_us).tobytes(),
            array("d", batch.values).tobytes(),
        )
    )


def ready(raw: Sequence[bytes]) -> Ready:
    """Return the points of records for the columns, and of each metric the newest of them for the catalog."""
    records = [_decoder.decode(one) for one in raw]
    names: list[str] = []
    runs: dict[str, Record] = {}
    offsets, counts = [], []
    for record in records:
        offsets.append(len(names))
        counts.append(len(record.value) // 8)
        names += record.names
        runs[record.run_id] = record
    index = _column([record.name for record in records], np.int32)
    step = _column([record.step for record in records], np.int64)
    at_us = _column([record.at_us for record in records], np.int64)
    value = _column([record.value for record in records], np.float64)
    value[np.isnan(value)] = np.nan  # one of the many: a point is known by its bits
    places = {run_id: place for place, run_id in enumerate(runs)}
    run = np.repeat(np.array([places[record.run_id] for record in records], np.int32), counts)
    # The same name of two records has one place, so that they are compared with each other.
    distinct = {name: place for place, name in enumerate(dict.fromkeys(names))}
    index = np.array([distinct[name] for name in names], np.int32)[
        index + np.repeat(np.array(offsets, np.int32), counts)
    ]
    kept = list(runs.values())
    table = pa.table(
        [
            _texts([record.project for record in kept], run),
            _texts(list(runs), run),
            _texts(list(distinct), index),
            pa.array(step),
            pa.array(at_us),
            pa.array(value),
        ],
        schema=store.SCHEMA,
    )
    newest: list[Newest] = []
    known = list(distinct)
    for at in _last(run, index, step, at_us, value):
        of = kept[run[at]]
        point = Point(int(step[at]), int(at_us[at]), float(value[at]))
        newest.append(Newest(of.project, of.run_key, of.experiment_key, of.started_us, known[index[at]], point))
    stored: dict[str, int] = {}
    for record in records:
        stored[record.journal] = max(record.number, stored.get(record.journal, 0))
    return Ready(table=table, newest=newest, stored=stored)


def _column(parts: list[bytes], kind: type[T]) -> NDArray[T]:
    return np.frombuffer(b"".join(parts), kind).copy()


def _texts(values: list[str], places: NDArray[np.int32]) -> pa.Array:
    return pa.array(values, pa.string()).take(pa.array(places))


def _last(
    run: NDArray[Any], name: NDArray[Any], step: NDArray[Any], at_us: NDArray[Any], value: NDArray[Any]
) -> list[int]:
    """Return of each metric of each run where its newest point is; of all values NaN is the lowest."""
    number = ~np.isnan(value)
    order = np.lexsort((np.where(number, value, 0.0), number, at_us, step, name, run))
    ends = np.flatnonzero((np.diff(run[order]) != 0) | (np.diff(name[order]) != 0))
    return order[np.append(ends, len(order) - 1)].tolist()
