"""What a source gives: runs, files, logged and registered models in one form, and what could not be read.

A source fills them step by step, so they may change; what is sent are the frozen records of `axis/runs/imports`.
"""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from gimbal.axis.runs.experiments.model import Stage
from gimbal.axis.runs.imports.model import ImportedDataset, ImportedExperiment, ImportedModel
from gimbal.axis.runs.model import RunStatus
from gimbal.kernel.ids import derived_id


class Problem(NamedTuple):
    """Something that did not come over."""

    where: str
    """The run, file and line, or name that it is about."""
    what: str
    """What is wrong with it, and what was kept."""


class SourceFile(NamedTuple):
    """A file of a run or model."""

    path: str
    """Inside of what it belongs to."""
    content: Path | bytes | Callable[[Path], None]
    """Where it is, what it is, or who writes it to a path."""
    size: int = -1
    """Bytes; -1 where that is not known before it is fetched."""


def made(path: str, content: bytes) -> SourceFile:
    """Return a file that an import makes."""
    return SourceFile(path, content, len(content))


class Points:
    """Metric points of one run as columns."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.index: list[int] = []
        self.steps: list[int] = []
        self.times: list[int] = []
        """Microseconds since 1970."""
        self.values: list[float] = []
        self._places: dict[str, int] = {}

    def __len__(self) -> int:
        """Return how many points there are."""
        return len(self.index)

    def place(self, name: str) -> int:
        """Return the place of a metric in `names`."""
        place = self._places.setdefault(name, len(self._places))
        if place == len(self.names):
            self.names.append(name)
        return place

    def add(self, name: str, step: int, at_us: int, value: float) -> None:
        """Add one point."""
        self.index.append(self.place(name))
        self.steps.append(step)
        self.times.append(at_us)
        self.values.append(value)

    def extend(self, name: str, steps: list[int], times: list[int], values: list[float]) -> None:
        """Add points of one metric."""
        self.index += [self.place(name)] * len(steps)
        self.steps += steps
        self.times += times
        self.values += values


class SourceRun(msgspec.Struct, kw_only=True):
    """A run as it is elsewhere."""

    id: str
    """UUID that it has here."""
    origin: str
    """What it is there: `mlflow:<id>`."""
    where: str
    """How messages name it."""
    name: str
    experiment: str
    status: RunStatus
    stage: Stage = "active"
    started_us: int
    ended_us: int | None = None
    user: str = ""
    parent_id: str | None = None
    group: str = ""
    note: str = ""
    error: str = ""
    params: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    tags: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    points: Points = msgspec.field(default_factory=Points)
    datasets: list[ImportedDataset] = msgspec.field(default_factory=list[ImportedDataset])
    files: list[SourceFile] = msgspec.field(default_factory=list[SourceFile])
    problems: list[Problem] = msgspec.field(default_factory=list[Problem])
    """What of it could not be read."""


class SourceModel(msgspec.Struct, kw_only=True):
    """A logged model and its files."""

    record: ImportedModel
    files: list[SourceFile] = msgspec.field(default_factory=list[SourceFile])


class SourceVersion(msgspec.Struct, kw_only=True):
    """A version of a registered model."""

    number: int
    source: str
    run_id: str = ""
    model_id: str = ""
    run_link: str = ""
    description: str = ""
    stage: str = "None"
    created_us: int = 0
    tags: dict[str, str] = msgspec.field(default_factory=dict[str, str])


class SourceRegistered(msgspec.Struct, kw_only=True):
    """A registered model, or a prompt."""

    name: str
    description: str = ""
    tags: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    aliases: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    versions: list[SourceVersion] = msgspec.field(default_factory=list[SourceVersion])


class Source(Protocol):
    """Where runs come from. It is only read; all of it can be read again."""

    def experiments(self) -> list[ImportedExperiment]:
        """Return the experiments that are chosen, also those without runs."""
        ...

    def runs(self) -> Iterator[SourceRun | Problem]:
        """Yield the runs, and what could not be read at all."""
        ...

    def count(self) -> int | None:
        """Return how many runs there are, when that can be told at once."""
        ...

    def models(self) -> Iterator[SourceModel | Problem]:
        """Yield logged models; nothing where a tracker has none."""
        ...

    def registered(self) -> Iterator[SourceRegistered | Problem]:
        """Yield registered models; nothing where a tracker has none."""
        ...


class NoModels:
    """The part of a source that has neither logged nor registered models."""

    def models(self) -> Iterator[SourceModel | Problem]:
        """Yield nothing."""
        return iter(())

    def registered(self) -> Iterator[SourceRegistered | Problem]:
        """Yield nothing."""
        return iter(())


def run_uuid(kind: str, *names: str) -> str:
    """Return the id of a run: its own where that is a UUID, else the one that its names always give."""
    text = names[-1]
    if len(text) in {32, 36}:
        try:
            return str(uuid.UUID(text))
        except ValueError:
            pass
    return derived_id("import", kind, *names)
