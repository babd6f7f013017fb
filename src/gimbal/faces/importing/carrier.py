"""Takes runs to the server: a few hundred in a request, two requests on their way while the next runs are read.

A run is marked as come when its points and files are durable on the server; the mark is the digest of what it is there.
Whatever breaks off, the same command goes on: runs that are marked are passed over, the others are sent again, and
everything that is sent twice is there once.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

import msgspec
import numpy as np

from gimbal.axis.runs.imports import digests
from gimbal.axis.runs.imports.model import Aspect, Fingerprint, ImportedRun
from gimbal.faces.client.client import Client
from gimbal.faces.importing.files import digested, uploaded
from gimbal.faces.importing.reading import reading
from gimbal.faces.importing.records import Problem, Source
from gimbal.faces.importing.report import Report
from gimbal.faces.importing.shaping import Shaped, shaped
from gimbal.kernel.errors import BadInput, Busy, DeadlineExceeded, TooLarge, Unavailable

T = TypeVar("T")
_MOST_RUNS, _MOST_POINTS, _MOST_ENTRIES, _MOST_BYTES = 250, 25_000, 20_000, 8_000_000
_AT_ONCE = 2
_AGAIN_S = 0.25
_LONGEST_S = 5.0
_PASSING = (Unavailable, Busy, DeadlineExceeded)


class Carrier:
    """One import of one source into one project."""

    def __init__(
        self, client: Client, source: Source, report: Report, *, files: bool = True, patience: float = 60.0
    ) -> None:
        """`files` says whether files are compared; `patience` for how many seconds a server may be away."""
        self._client = client
        self._source = source
        self._report = report
        self._files = files
        self._patience = patience
        self._seen: dict[str, str] = {}
        self._stop = threading.Event()

    def bring(self, moved: Callable[[int], None]) -> None:
        """Bring all runs; `moved` hears of each batch how many runs it had. Raise what keeps the server from taking them."""
        experiments = self._source.experiments()
        for start in range(0, len(experiments), _MOST_RUNS):
            part = experiments[start : start + _MOST_RUNS]
            self.again(lambda part=part: self._client.runs.import_many(experiments=part))
        self._each(self._carry, moved)

    def look(self, moved: Callable[[int], None]) -> None:
        """Count what would come, and change nothing."""
        self._each(self._weigh, moved)

    def compare(self, moved: Callable[[int], None]) -> None:
        """Compare every run of the source with what is here, and change nothing."""
        self._each(self._compare, moved)

    def again(self, call: Callable[[], T]) -> T:
        """Return what a call returns that is harmless twice, tried again while the server is away."""
        until, pause = time.monotonic() + self._patience, _AGAIN_S
        while True:
            try:
                return call()
            except _PASSING:
                if time.monotonic() + pause > until or self._stop.wait(pause):
                    raise
                pause = min(2 * pause, _LONGEST_S)

    def _each(self, work: Callable[[list[Shaped]], None], moved: Callable[[int], None]) -> None:
        """Give batches of runs to threads; reading waits while enough are on their way."""
        on_way: dict[Future[None], int] = {}

        def ended(futures: set[Future[None]]) -> None:
            for one in futures:
                count = on_way.pop(one)
                one.result()
                moved(count)

        with ThreadPoolExecutor(_AT_ONCE, "gimbal-import") as pool:
            try:
                for batch in self._batches():
                    on_way[pool.submit(work, batch)] = len(batch)
                    while len(on_way) > _AT_ONCE:
                        ended(wait(on_way, return_when=FIRST_COMPLETED).done)
                while on_way:
                    ended(wait(on_way, return_when=FIRST_COMPLETED).done)
            except BaseException:
                self._stop.set()
                for one in on_way:
                    one.cancel()
                raise

    def _batches(self) -> Iterator[list[Shaped]]:
        batch: list[Shaped] = []
        points = entries = size = 0
        for one in self._read():
            record = one.record
            more = len(one.index), len(record.params) + len(record.tags), one.size
            full = points + more[0] > _MOST_POINTS or entries + more[1] > _MOST_ENTRIES or size + more[2] > _MOST_BYTES
            if batch and (full or len(batch) == _MOST_RUNS):
                yield batch
                batch, points, entries, size = [], 0, 0, 0
            batch.append(one)
            points, entries, size = points + more[0], entries + more[1], size + more[2]
        if batch:
            yield batch

    def _read(self) -> Iterator[Shaped]:
        """Yield the runs as they will be here, each id once; note what cannot be read."""
        for found in self._source.runs():
            one = found if isinstance(found, Problem) else reading(found.where, lambda found=found: shaped(found))
            if isinstance(one, Problem):
                self._report.problem(one)
                continue
            self._report.count(read=1)
            if (before := self._seen.get(one.record.id)) is not None:
                self._report.problem(Problem(one.where, f"The same run id as {before}; only that one is taken."))
                continue
            self._seen[one.record.id] = one.where
            self._report.problem(*one.problems)
            yield one

    def _there(self, batch: Sequence[Shaped], *, content: bool = False) -> dict[str, Fingerprint]:
        ids = [one.record.id for one in batch]
        return {one.id: one for one in self.again(lambda: self._client.runs.fingerprints(ids=ids, content=content))}

    def _weighed(self, batch: Sequence[Shaped]) -> tuple[dict[str, str], list[tuple[Shaped, Fingerprint | None]]]:
        """Return the digests of runs by id, and of those that are not here as they are there what is here.

        One that cannot come is refused: the run here is another one, or was deleted while it is active there.
        """
        marks = {one.record.id: digests.of_run(aspects) for one, aspects in self._aspects(batch)}
        there = self._there(batch)
        missing: list[tuple[Shaped, Fingerprint | None]] = []
        for one in batch:
            known = there.get(one.record.id)
            if known is not None and known.digest == marks[one.record.id]:
                self._report.count(there=1)
            elif known is not None and (why := _against(one.record, known)):
                self._refused(one, why)
            else:
                missing.append((one, known))
        return marks, missing

    def _aspects(self, batch: Sequence[Shaped], *, whole: bool = False) -> list[tuple[Shaped, dict[str, Aspect]]]:
        """Return runs with the aspects of what they are there; a file that cannot be read is a problem and left out."""
        points = _points_of(batch)
        found: list[tuple[Shaped, dict[str, Aspect]]] = []
        for one, of_points in zip(batch, points, strict=True):
            record = one.record
            aspects = {
                "run": digests.of_attributes(record),
                "params": digests.of_params(record.params),
                "tags": digests.of_tags(record.tags),
                "points": of_points,
                "datasets": digests.of_datasets(record.datasets),
                "files": digests.of_files(digested(one, self._report, whole=whole)),
            }
            found.append((one, aspects))
        return found

    def _weigh(self, batch: list[Shaped]) -> None:
        for one, known in self._weighed(batch)[1]:
            self._count(one, "created" if known is None else "added")
            self._report.count(files=len(one.files), file_bytes=sum(max(0, file.size) for file in one.files))

    def _carry(self, batch: list[Shaped]) -> None:
        marks, missing = self._weighed(batch)
        # Files come before a run is deleted, and before it is marked.
        large = [(one, known) for one, known in missing if one.files or len(one.index) > _MOST_POINTS]
        if small := [one for one, _ in missing if not one.files and len(one.index) <= _MOST_POINTS]:
            self._send(small, marks)
        for one, known in sorted(large, key=lambda each: bool(each[0].files)):
            try:
                self._send_large(one, marks[one.record.id], known)
            except (TooLarge, BadInput) as problem:
                self._refused(one, problem.message)

    def _send(self, batch: Sequence[Shaped], marks: dict[str, str]) -> None:
        runs = [msgspec.structs.replace(one.record, columns=next(one.slices(_MOST_POINTS), None)) for one in batch]
        done = {one.record.id: marks[one.record.id] for one in batch}
        try:
            outcomes = {one.id: one for one in self.again(lambda: self._client.runs.import_many(runs=runs, done=done))}
        except (TooLarge, BadInput) as problem:
            # One of them it is, and the others shall come.
            if len(batch) == 1:
                return self._refused(batch[0], problem.message)
            self._send(batch[: len(batch) // 2], marks)
            return self._send(batch[len(batch) // 2 :], marks)
        for one in batch:
            outcome = outcomes[one.record.id]
            if outcome.outcome == "refused":
                self._refused(one, outcome.problem)
            else:
                self._count(one, outcome.outcome)
        return None

    def _send_large(self, one: Shaped, mark: str, known: Fingerprint | None) -> None:
        """Send a run in parts: with its first points, then the other points, then files, then the mark."""
        active = msgspec.structs.replace(one.record, stage="active")
        parts = one.slices(_MOST_POINTS)
        first = msgspec.structs.replace(active, columns=next(parts, None))
        (outcome,) = self.again(lambda: self._client.runs.import_many(runs=[first]))
        if outcome.outcome == "refused":
            return self._refused(one, outcome.problem)
        if known is not None and known.stage == "deleted":
            # A run that is deleted takes no files; at the end it is deleted again.
            self.again(lambda: self._client.runs.restore(one.record.id))
        bare = msgspec.structs.replace(active, params={}, tags={}, datasets=[])
        for columns in parts:
            part = msgspec.structs.replace(bare, columns=columns)
            self.again(lambda part=part: self._client.runs.import_many(runs=[part]))
        done = {one.record.id: mark} if uploaded(self._client, one, self._report, self.again) else {}
        last: list[ImportedRun] = (
            [msgspec.structs.replace(bare, stage="deleted")] if one.record.stage == "deleted" else []
        )
        if last or done:
            self.again(lambda: self._client.runs.import_many(runs=last, done=done))
        return self._count(one, outcome.outcome)

    def _compare(self, batch: list[Shaped]) -> None:
        there = self._there(batch, content=True)
        for one, aspects in self._aspects(batch, whole=True):
            if (kept := there.get(one.record.id)) is None:
                self._report.differ(one.where, "The run is not here.")
                continue
            self._count(one, "there")
            for name, aspect in aspects.items():
                if name == "files" and not self._files:
                    continue
                if (here := kept.aspects[name]) != aspect:
                    what = (
                        f"{aspect.count:,} there, {here.count:,} here" if aspect.count != here.count else "not the same"
                    )
                    self._report.differ(one.where, f"{_SHOWN[name]}: {what}.")
            if self._files:
                self._report.count(files=aspects["files"].count)

    def _count(self, one: Shaped, outcome: str) -> None:
        record = one.record
        self._report.count(
            **{outcome: 1},
            params=len(record.params),
            tags=len(record.tags),
            points=len(one.index),
            datasets=len(record.datasets),
        )

    def _refused(self, one: Shaped, why: str) -> None:
        self._report.count(refused=1)
        self._report.problem(Problem(one.where, f"The run was refused: {why}"))


_SHOWN = {
    "run": "name, times, state or note",
    "params": "parameters",
    "tags": "tags",
    "points": "metric points",
    "datasets": "datasets",
    "files": "files",
}


def _against(record: ImportedRun, known: Fingerprint) -> str:
    """Return why a run cannot come where another is known by its id; empty when it can."""
    if known.origin != record.origin:
        whose = f"came from {known.origin!r}" if known.origin else "was not imported"
        return f"There is a run with this id already, which {whose}."
    if known.stage == "deleted" and record.stage == "active":
        return f"It was deleted here, and is active there. `gimbal runs restore {record.id}` brings it back; then it comes."
    return ""


def _points_of(batch: Sequence[Shaped]) -> list[Aspect]:
    names = {name: place for place, name in enumerate(dict.fromkeys(name for one in batch for name in one.names))}
    index = [np.array([names[name] for name in one.names], np.int64)[one.index] for one in batch]
    return digests.of_points(
        len(batch),
        np.repeat(np.arange(len(batch)), [len(one.index) for one in batch]),
        list(names),
        np.concatenate(index),
        *(np.concatenate([getattr(one, name) for one in batch]) for name in ("steps", "times", "values")),
    )
