"""Requests about runs as they wait, are sent and lie on disk: `Parcel`, and how many calls of `log` become few of them."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from gimbal.axis.runs.model import to_wire
from gimbal.faces.client.generated.runs import Runs
from gimbal.faces.client.outbox import PASSING
from gimbal.kernel.errors import BadInput, Conflict, GimbalError, TooLarge, Unprocessable

POINT_BYTES = 50
_ENTRY_BYTES = 100
_MOST_POINTS = 20_000
_MOST_BYTES = 2**20
Points = tuple[str, dict[str, float], int, int]
"""One call of `log` with nothing but numbers: run, metrics, step, microseconds."""


class Parcel(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request about one run; harmless twice."""

    run: str
    op: Literal["create", "log", "update", "finish", "artifact"]
    body: dict[str, Any] = {}
    path: str = ""
    content: bytes = b""


Item = Points | Parcel


def weight(item: Item) -> int:
    """Return about how many bytes an item takes."""
    if isinstance(item, tuple):
        return POINT_BYTES * len(item[1])
    return _ENTRY_BYTES + len(item.content) + sum(map(_size, item.body.items()))


def _size(entry: tuple[str, Any]) -> int:
    name, value = entry
    if name == "columns":
        return POINT_BYTES * len(value["index"])
    return len(msgspec.json.encode(value)) if value else 0


def described(parcels: Iterable[Parcel]) -> str:
    """Return what parcels hold, in words."""
    points = params = tags = files = ends = 0
    for each in parcels:
        points += len(each.body["columns"]["index"]) if "columns" in each.body else 0
        params += len(each.body.get("params", ()))
        tags += len(each.body.get("tags", ()))
        files += each.op == "artifact"
        ends += each.op == "finish"
    counts = ((points, "metric points"), (params, "parameters"), (tags, "tags"), (files, "files"), (ends, "ends"))
    return ", ".join(f"{n:,} {words}" for n, words in counts if n) or "nothing"


class _Bundle:
    """What is logged into one run, as one request."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.size = 0
        self._names: dict[str, int] = {}
        self._index: list[int] = []
        self._steps: list[int] = []
        self._times: list[int] = []
        self._values: list[float] = []
        self._params: dict[str, Any] = {}
        self._tags: dict[str, str] = {}

    def add(self, item: Item) -> None:
        self.size += weight(item)
        if not isinstance(item, tuple):
            self._params |= item.body.get("params", {})
            self._tags |= item.body.get("tags", {})
            return
        _, metrics, step, at = item
        names = self._names
        for name, value in metrics.items():
            self._index.append(names.setdefault(name, len(names)))
            self._steps.append(step)
            self._times.append(at)
            self._values.append(value)

    @property
    def full(self) -> bool:
        return len(self._index) >= _MOST_POINTS or self.size >= _MOST_BYTES

    def parcel(self) -> Parcel:
        body: dict[str, Any] = {}
        if self._index:
            # One that is not finite makes the sum so; a sum that overflows costs a moment, no more.
            plain = math.isfinite(sum(self._values))
            body["columns"] = {
                "names": list(self._names),
                "index": self._index,
                "steps": self._steps,
                "times": self._times,
                "values": self._values if plain else [to_wire(value) for value in self._values],
            }
        if self._params:
            body["params"] = self._params
        if self._tags:
            body["tags"] = self._tags
        return Parcel(run=self.run, op="log", body=body)


def gathered(items: Iterable[Item]) -> list[Parcel]:
    """Return the requests that items make. What belongs to one run stays in order, and so do starts of runs."""
    parcels: list[Parcel] = []
    open_: dict[str, _Bundle] = {}
    for item in items:
        run = item[0] if isinstance(item, tuple) else item.run
        if not isinstance(item, tuple) and item.op != "log":
            if (bundle := open_.pop(run, None)) is not None:
                parcels.append(bundle.parcel())
            parcels.append(item)
            continue
        bundle = open_.get(run)
        if bundle is None:
            bundle = open_[run] = _Bundle(run)
        bundle.add(item)
        if bundle.full:
            parcels.append(open_.pop(run).parcel())
    return parcels + [bundle.parcel() for bundle in open_.values()]


def post(runs: Runs, parcel: Parcel) -> None:
    """Send one request; raise what the server answered. Of a log that is refused, everything else is stored."""
    match parcel.op:
        case "create":
            runs.create(id=parcel.run, **parcel.body)
        case "update":
            runs.update(parcel.run, **parcel.body)
        case "finish":
            runs.finish(parcel.run, **parcel.body)
        case "artifact":
            runs.artifact_put(parcel.run, parcel.path, parcel.content)
        case "log":
            try:
                runs.log(parcel.run, **parcel.body)
            except (BadInput, Conflict, TooLarge, Unprocessable) as refusal:
                _post_parts(runs, parcel, refusal)


def _post_parts(runs: Runs, parcel: Parcel, refusal: GimbalError) -> None:
    """Send everything by itself, so that what the server refuses takes nothing else with it."""
    refused: list[str] = []
    parts: list[tuple[str, dict[str, Any]]] = []
    if "columns" in parcel.body:
        points = len(parcel.body["columns"]["index"])
        parts.append((f"{points:,} metric points", {"columns": parcel.body["columns"]}))
    for field in ("params", "tags"):
        parts += [(name, {field: {name: value}}) for name, value in parcel.body.get(field, {}).items()]
    for name, body in parts:
        try:
            runs.log(parcel.run, **body)
        except PASSING:
            raise
        except GimbalError as problem:
            refused.append(name)
            refusal = problem
    if refused:
        refusal.kept = f"everything that was logged but {', '.join(refused)}"
        raise refusal


def encoded(parcels: Sequence[Parcel]) -> list[bytes]:
    """Return parcels as lines of a spool."""
    return [msgspec.json.encode(each) for each in parcels]


def decoded(line: bytes) -> Parcel:
    """Return a line of a spool as the parcel that it was."""
    return msgspec.json.decode(line, type=Parcel)
