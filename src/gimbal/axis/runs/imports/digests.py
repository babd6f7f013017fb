"""Digests of what a run is, computed in the same way from another tracker's data and from ours.

Attributes, parameters, tags, datasets and files are digested as JSON with sorted keys; points as columns, sorted by name,
step, time and the bits of the value, each point once. A point is known by its bits, and every NaN is the same one.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gimbal.axis.runs.imports.model import OWN_TAGS, Aspect, ImportedDataset
from gimbal.kernel.clock import to_us

_BYTES = 16
_encoder = msgspec.json.Encoder(order="sorted")
NOTHING = hashlib.blake2b(b"", digest_size=_BYTES).hexdigest()
"""Digest of no points."""
_FIELDS = ("name", "experiment", "status", "stage", "user", "parent_id", "group", "note", "error")


def digest_of(value: Any) -> str:
    """Return the digest of a JSON value."""
    return hashlib.blake2b(_encoder.encode(value), digest_size=_BYTES).hexdigest()


def of_attributes(run: Any) -> Aspect:
    """Return the aspect `run` of whatever has the attributes of one."""
    ended: datetime | None = run.ended_at
    values = {name: getattr(run, name) for name in _FIELDS}
    values |= {"started": to_us(run.started_at), "ended": None if ended is None else to_us(ended)}
    return Aspect(count=1, digest=digest_of(values))


def of_params(params: Mapping[str, Any]) -> Aspect:
    """Return the aspect `params`."""
    return Aspect(count=len(params), digest=digest_of(params))


def of_tags(tags: Mapping[str, str]) -> Aspect:
    """Return the aspect `tags`; those of the import itself are left out."""
    theirs = {name: value for name, value in tags.items() if name not in OWN_TAGS}
    return Aspect(count=len(theirs), digest=digest_of(theirs))


def of_datasets(datasets: Iterable[ImportedDataset]) -> Aspect:
    """Return the aspect `datasets`."""
    rows = sorted(msgspec.json.encode(one, order="sorted").decode() for one in datasets)
    return Aspect(count=len(rows), digest=digest_of(rows))


def of_files(files: Iterable[tuple[str, int, str]]) -> Aspect:
    """Return the aspect `files` of paths, sizes in bytes and digests of the bytes."""
    rows = sorted(files)
    return Aspect(count=len(rows), digest=digest_of(rows))


def of_points(
    runs: int,
    run: NDArray[Any],
    names: Sequence[str],
    name: NDArray[Any],
    step: NDArray[np.int64],
    at_us: NDArray[np.int64],
    value: NDArray[np.float64],
) -> list[Aspect]:
    """Return the aspect `points` of each of `runs` runs; `run` and `name` say of each point which ones it is of."""
    value = np.where(np.isnan(value), np.nan, value)
    known = sorted(range(len(names)), key=names.__getitem__)
    rank = np.empty(len(names), np.int64)
    rank[known] = np.arange(len(names))
    columns = [run.astype(np.int64), rank[name], step, at_us, value.view(np.int64)]
    order = np.lexsort(columns[::-1])
    columns = [column[order] for column in columns]
    if len(order):
        news = np.any([np.diff(column) != 0 for column in columns], axis=0)
        first = np.concatenate(([True], news))
        columns = [column[first] for column in columns]
    ends = np.searchsorted(columns[0], np.arange(runs + 1))
    found: list[Aspect] = []
    for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        if start == end:
            found.append(Aspect(count=0, digest=NOTHING))
            continue
        used, counts = np.unique(columns[1][start:end], return_counts=True)
        head = [[names[known[at]] for at in used.tolist()], counts.tolist()]
        hasher = hashlib.blake2b(_encoder.encode(head), digest_size=_BYTES)
        for column in columns[2:]:
            hasher.update(np.ascontiguousarray(column[start:end]).data)
        found.append(Aspect(count=end - start, digest=hasher.hexdigest()))
    return found


def of_run(aspects: Mapping[str, Aspect]) -> str:
    """Return the digest of all aspects."""
    return digest_of({name: [one.count, one.digest] for name, one in aspects.items()})
