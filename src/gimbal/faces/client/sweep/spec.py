"""The file of a sweep: what is run, what is searched, and until when. An error names the line and the field."""

import difflib
import importlib
import math
import runpy
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from gimbal.axis.runs.model import MAX_NAME
from gimbal.axis.runs.studies.model import Direction
from gimbal.kernel.errors import BadInput, MissingExtra

MOST_GRID = 10_000
MOST_TRIALS = 100
"""Where the file says nothing."""
Goal = Direction
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]


class Range(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where one parameter is searched: from `low` to `high`, or among `choices`."""

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    """Draw evenly over sizes instead of values."""
    step: int | float | None = None
    """Only every so many."""
    choices: list[bool | int | float | str | None] | None = None


class Sweep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A search."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]
    """The study; a sweep of the same name goes on with it."""
    space: dict[str, Range]
    """Parameters by name."""
    metric: str | list[str]
    """What is optimised, as the trial logs it; several for several objectives."""
    goal: Goal | list[Goal] = "minimize"
    """Whether small or large values are good, for each metric."""
    command: str | list[str] | None = None
    """What is run. `{name}` stands for a parameter; without any, each is added as `--name value`."""
    function: str | None = None
    """Or `module:function`, which gets the parameters by name and returns the value."""
    sampler: str = "tpe"
    """`tpe`, `random`, `grid`, or `module:Class` of any sampler of Optuna's kind."""
    pruner: Literal["none", "median", "hyperband"] = "none"
    """What stops trials early that do badly."""
    trials: Count | None = None
    """How many at most, those of earlier times included; 100, or every point of a grid, when left out."""
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    """How many at once."""
    time_s: Seconds | None = None
    """No trial begins after so many seconds, and those that run are stopped."""
    trial_s: Seconds | None = None
    """A trial that takes longer has failed."""
    seed: int | None = None
    """Makes what is drawn repeatable, with one trial at a time."""
    experiment: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)] = "default"
    """Where the runs are."""

    @property
    def metrics(self) -> list[str]:
        """The names of the objectives."""
        return [self.metric] if isinstance(self.metric, str) else self.metric

    @property
    def most(self) -> int:
        """How many trials there are at most."""
        if self.trials is not None:
            return self.trials
        return self.points if self.sampler == "grid" else MOST_TRIALS

    @property
    def points(self) -> int:
        """The size of the grid; more than MOST_GRID where it has no end."""
        return math.prod(len(points(one)) or MOST_GRID + 1 for one in self.space.values())

    @property
    def goals(self) -> list[Goal]:
        """The direction of each objective."""
        return [self.goal] if isinstance(self.goal, str) else self.goal

    @property
    def words(self) -> list[str]:
        """The words of the command; none for a function."""
        return shlex.split(self.command) if isinstance(self.command, str) else list(self.command or ())


def read(path: Path, **instead: Any) -> Sweep:
    """Read a sweep from YAML, or from the `sweep` of a Python file; raise BadInput with line and field.

    `instead` are fields that the command line gives.
    """
    if path.suffix == ".py":
        tree: Any = runpy.run_path(str(path)).get("sweep")
        if not isinstance(tree, Mapping):
            raise BadInput("There is no `sweep` in it.", where=str(path), todo="Write `sweep = {...}`.")
        return parsed({**tree, **instead}, str(path), {})
    try:
        yaml: Any = importlib.import_module("yaml")
    except ImportError:
        raise hint("A sweep in YAML needs PyYAML.") from None
    try:
        text = path.read_text("utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        tree = yaml.safe_load(text)
    except UnicodeDecodeError:
        raise BadInput("The file is no text in UTF-8.", where=str(path), todo="Save it as UTF-8.") from None
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        why = getattr(problem, "problem", None) or "it cannot be read"
        raise BadInput(f"This is no YAML: {why}.", where=f"{path}{line}", todo="Mend the line.") from None
    whole_tree: Any = {**tree, **instead} if isinstance(tree, Mapping) else tree
    return parsed(whole_tree, str(path), _lines(node))


def hint(message: str) -> MissingExtra:
    """Return the error for what is not installed."""
    return MissingExtra(message, kept="nothing was started", todo="Install it: pip install 'gimbal-ops[optuna]'.")


def parsed(tree: Any, where: str, lines: Mapping[str, int]) -> Sweep:
    """Return a tree as a sweep; `lines` tells in which line each field stands."""

    def refuse(field: str, message: str, todo: str) -> BadInput:
        near = field
        while near and near not in lines:
            near = near.rpartition(".")[0]
        line = f", line {lines[near]}" if near in lines else ""
        return BadInput(message, where=f"{where}{line}, {field or 'the file'}", kept="nothing was started", todo=todo)

    if not isinstance(tree, Mapping):
        raise refuse("", "It holds no fields.", "Write `name: …`, `command: …`, `metric: …` and `space: …`.")
    known = Sweep.__struct_fields__
    for name in tree:
        if name not in known:
            close = difflib.get_close_matches(str(name), known, 1)
            raise refuse(
                str(name), f"There is no field {name!r}.", f"Did you mean {close[0]}?" if close else "Leave it out."
            )
    given = dict(tree)
    if isinstance(given.get("space"), Mapping):
        given["space"] = {
            str(name): {"choices": one} if isinstance(one, list) else one for name, one in given["space"].items()
        }
    try:
        sweep = msgspec.convert(given, Sweep)
    except msgspec.ValidationError as problem:
        message, _, at = str(problem).partition(" - at `$")
        field = at.rstrip("`").lstrip(".").replace("[...]", "")
        if not field or field.partition(".")[0] == "space":
            field = next((one for one in _bad_ranges(given.get("space"))), field)
        raise refuse(field, f"{message}.", "See docs/how-to/search-parameters.md for every field.") from None
    for field, message, todo in _contradictions(sweep):
        raise refuse(field, message, todo)
    return sweep


def _bad_ranges(space: Any) -> list[str]:
    found: list[str] = []
    for name, one in space.items() if isinstance(space, Mapping) else ():
        try:
            msgspec.convert(one, Range)
        except msgspec.ValidationError as problem:
            inner = str(problem).partition(" - at `$.")[2].rstrip("`")
            found.append(f"space.{name}" + (f".{inner}" if inner else ""))
    return found


def _contradictions(sweep: Sweep) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    if (sweep.command is None) == (sweep.function is None):
        found.append(("command", "One of command and function says what is run.", "Give one of them."))
    if sweep.command is not None and not _words(sweep):
        found.append(("command", "The command cannot be read.", "Look at its quotes."))
    if sweep.function is not None and sweep.function.count(":") != 1:
        found.append(("function", f"{sweep.function!r} names no function.", "Write module:function."))
    if len(sweep.metrics) != len(sweep.goals):
        found.append(("goal", "There is not one goal for each metric.", "Give as many goals as metrics."))
    if not sweep.metrics or len(set(sweep.metrics)) < len(sweep.metrics):
        found.append(("metric", "Metrics are named once each.", "Name at least one."))
    if sweep.pruner != "none" and len(sweep.metrics) > 1:
        found.append(("pruner", "Trials of several objectives cannot be stopped early.", "Use pruner: none."))
    if not sweep.space:
        found.append(("space", "There is nothing to search.", "Name at least one parameter."))
    for name, one in sweep.space.items():
        found += [(f"space.{name}", *why) for why in _wrong(one)]
    if sweep.sampler == "grid" and not found:
        if sweep.points > MOST_GRID:
            todo = "Give choices, whole numbers, or a step to each parameter."
            found.append(("sampler", f"The grid has no end, or more than {MOST_GRID:,} points.", todo))
    elif sweep.sampler not in {"tpe", "random", "grid"} and sweep.sampler.count(":") != 1:
        found.append(("sampler", f"{sweep.sampler!r} is no sampler.", "Use tpe, random, grid or module:Class."))
    return found


def _words(sweep: Sweep) -> list[str]:
    try:
        return sweep.words
    except ValueError:
        return []


def _wrong(one: Range) -> list[tuple[str, str]]:
    if one.choices is not None:
        if one.low is not None or one.high is not None or one.log or one.step is not None:
            return [("Choices have no low, high, log or step.", "Give the one or the other.")]
        return [] if one.choices else [("There is nothing to choose from.", "Give at least one choice.")]
    if one.low is None or one.high is None:
        return [("It needs low and high, or choices.", "Write {low: 1, high: 10} or [a, b].")]
    if not (math.isfinite(one.low) and math.isfinite(one.high)) or one.low > one.high:
        return [(f"From {one.low:g} to {one.high:g} there is nothing.", "Let low be at most high, and both finite.")]
    if one.log and (one.low <= 0 or one.step is not None):
        return [("A logarithmic range begins above 0 and has no step.", "Change low, or leave log or step out.")]
    return [("A step is above 0.", "Give a larger one.")] if one.step is not None and one.step <= 0 else []


def whole(one: Range) -> bool:
    """Tell whether a range is of whole numbers: it is written so."""
    return isinstance(one.low, int) and isinstance(one.high, int) and not isinstance(one.step, float)


def points(one: Range) -> list[Any]:
    """Return what a grid takes of a range; nothing where there is no end of it."""
    if one.choices is not None:
        return list(one.choices)
    low, high = one.low or 0, one.high or 0
    kind, step = (int, one.step or 1) if whole(one) else (float, one.step)
    if step is None:
        return []
    count = min(int((high - low) / step + 1e-9) + 1, MOST_GRID + 1)
    return [kind(low + place * step) for place in range(count)]


def _lines(node: Any) -> dict[str, int]:
    """Return the line of each field, by its path."""
    found: dict[str, int] = {}

    def walk(at: Any, path: str) -> None:
        for key, value in getattr(at, "value", None) or () if type(at).__name__ == "MappingNode" else ():
            name = f"{path}.{key.value}" if path else str(key.value)
            found[name] = key.start_mark.line + 1
            walk(value, name)

    walk(node, "")
    return found
