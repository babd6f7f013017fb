"""Makes a run of elsewhere fit: what is too long here becomes a file of the run, what cannot be kept is named.

The limits are those of `axis/runs`, so that the server has nothing left to refuse but what only it can know.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gimbal.axis.runs.artifacts.paths import safe_path
from gimbal.axis.runs.experiments.model import MAX_EXPERIMENT_NAME
from gimbal.axis.runs.imports.model import ImportedRun
from gimbal.axis.runs.model import MAX_NAME, MAX_PARAM_BYTES, MAX_TAG_BYTES, MAX_TAGS, MOST_US, MetricColumns, to_wire
from gimbal.faces.client.wire import jsonable, text
from gimbal.faces.importing.records import Points, Problem, SourceFile, SourceRun, made
from gimbal.faces.importing.times import at_us
from gimbal.kernel.errors import GimbalError

LONG_VALUES, LONG_NOTE = "import/values.json", "import/note.md"
_MAX_NOTE, _MAX_ERROR = 100_000, 10_000
_STEP = 2**62


class Shaped(msgspec.Struct, kw_only=True):
    """A run as it will be here."""

    record: ImportedRun
    """Without points."""
    size: int
    """Bytes of the record as JSON."""
    names: list[str]
    index: NDArray[np.int64]
    steps: NDArray[np.int64]
    times: NDArray[np.int64]
    values: NDArray[np.float64]
    files: list[SourceFile]
    problems: list[Problem]
    where: str

    def slices(self, most: int) -> Iterator[MetricColumns]:
        """Yield the points as columns, so many at most in each."""
        for start in range(0, len(self.index), most):
            part = slice(start, start + most)
            used, index = np.unique(self.index[part], return_inverse=True)
            values = self.values[part]
            plain = bool(np.isfinite(values).all())
            yield MetricColumns(
                names=[self.names[place] for place in used.tolist()],
                index=index.tolist(),
                steps=self.steps[part].tolist(),
                times=self.times[part].tolist(),
                values=values.tolist() if plain else [to_wire(value) for value in values.tolist()],
            )


def shaped(run: SourceRun) -> Shaped:
    """Return a run as it will be here, with what does not fit as files or problems."""
    problems, long = list(run.problems), dict[str, Any]()
    params = _fitting("params", run.params, MAX_PARAM_BYTES, long)
    tags = _fitting("tags", run.tags, MAX_TAG_BYTES, long, most=MAX_TAGS)
    files = list(_safe(run.files, run.where, problems))
    what = f"It is too long for here; its value is in the file {LONG_VALUES}."
    problems += [Problem(f"{run.where}: {name}", what) for name in long]
    if long:
        files.append(made(LONG_VALUES, msgspec.json.encode(long, order="sorted")))
    if len(run.note) > _MAX_NOTE:
        problems.append(
            Problem(f"{run.where}: note", f"It is too long for here; the whole is in the file {LONG_NOTE}.")
        )
        files.append(made(LONG_NOTE, run.note.encode()))
    record = ImportedRun(
        id=run.id,
        origin=run.origin[:1000],
        name=_cut("name", run.name, MAX_NAME, run.where, problems) or run.origin[:MAX_NAME],
        experiment=_cut("experiment", run.experiment, MAX_EXPERIMENT_NAME, run.where, problems) or "default",
        status=run.status,
        stage=run.stage,
        started_at=at_us(run.started_us),
        ended_at=None if run.ended_us is None else at_us(run.ended_us),
        user=_cut("user", run.user, MAX_NAME, run.where, problems),
        parent_id=run.parent_id,
        group=_cut("group", run.group, MAX_NAME, run.where, problems),
        note=text(run.note[:_MAX_NOTE]),
        error=text(run.error[:_MAX_ERROR]),
        params=params,
        tags=tags,
        datasets=run.datasets,
    )
    names, index, steps, times, values = _points(run.points, run.where, problems)
    return Shaped(
        record=record,
        size=len(msgspec.json.encode(record)),
        names=names,
        index=index,
        steps=steps,
        times=times,
        values=values,
        files=files,
        problems=problems,
        where=run.where,
    )


def _fitting(
    kind: str, given: Mapping[str, Any], limit: int, long: dict[str, Any], most: int | None = None
) -> dict[str, Any]:
    """Return what can be kept under its name; put the rest into `long`."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        plain = jsonable(value)
        fits = 0 < len(name) <= MAX_NAME and (most is None or len(found) < most)
        # A character of text has six bytes in JSON at most.
        if fits and ((isinstance(plain, str) and len(plain) * 6 < limit) or len(msgspec.json.encode(plain)) <= limit):
            found[text(name)] = plain
        else:
            long[f"{kind}/{text(name)}"] = plain
    return found


def _cut(field: str, value: str, most: int, where: str, problems: list[Problem]) -> str:
    if len(value) > most:
        problems.append(Problem(where, f"Its {field} has {len(value)} characters, and was cut to {most}."))
    return text(value[:most])


def _safe(files: list[SourceFile], where: str, problems: list[Problem]) -> Iterator[SourceFile]:
    for one in files:
        try:
            one.path.encode()
            safe_path(one.path)
        except (GimbalError, UnicodeEncodeError) as problem:
            why = problem.message if isinstance(problem, GimbalError) else "Its name is no UTF-8."
            problems.append(Problem(f"{where}: {one.path}", f"{why} The file is left out."))
        else:
            yield one


def _points(points: Points, where: str, problems: list[Problem]) -> tuple[list[str], Any, Any, Any, Any]:
    """Return the points as arrays without those that cannot be kept."""
    index = np.array(points.index, np.int64)
    try:
        steps = np.array(points.steps, np.int64)
        times = np.array(points.times, np.int64)
    except OverflowError:
        steps = np.array([max(-_STEP - 1, min(one, _STEP + 1)) for one in points.steps], np.int64)
        times = np.array([max(-1, min(one, MOST_US + 1)) for one in points.times], np.int64)
    values = np.array(points.values, np.float64)
    if not len(index):
        return [], index, steps, times, values
    named = np.array([0 < len(name) <= MAX_NAME for name in points.names])[index]
    good = named & (steps >= -_STEP) & (steps <= _STEP) & (times >= 0) & (times <= MOST_US)
    if not good.all():
        lost = int((~good).sum())
        what = f"{lost:,} points have a name, step or time that cannot be kept; the others are."
        problems.append(Problem(where, what))
        index, steps, times, values = index[good], steps[good], times[good], values[good]
    return [text(name) for name in points.names], index, steps, times, values
