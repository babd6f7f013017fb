"""Records of studies and trials, which clients know, too, and the rules that parameters of one study obey."""

import json
import math
from datetime import datetime
from typing import Annotated, Any, Literal, get_args

import msgspec

from gimbal.axis.runs.model import MAX_NAME, MetricValue, Name
from gimbal.kernel.errors import BadInput, Conflict, TooLarge

Direction = Literal["minimize", "maximize"]
TrialState = Literal["waiting", "running", "complete", "pruned", "fail"]
ENDED: frozenset[str] = frozenset({"complete", "pruned", "fail"})
STATES: tuple[str, ...] = get_args(TrialState)
MAX_ATTR_BYTES = 65_536
MAX_ATTRS = 1000
MAX_OBJECTIVES = 32
MOST_TRIALS = 1000
"""So many trials in one answer at most."""
REPORTED = "intermediate"
"""The metric of a trial's run that holds what was reported while it ran."""

AttrName = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]
Attrs = dict[str, str]


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """A search for good parameters."""

    number: int
    """Unique in the installation, and never given again."""
    project: str
    name: str
    experiment: str
    """Where the runs of its trials are."""
    directions: list[Direction]
    """Of each objective, whether small or large values are good."""
    user_attrs: Attrs = {}
    """What people noted, as JSON texts."""
    system_attrs: Attrs = {}
    """What Optuna noted, as JSON texts."""
    trials: int = 0
    """How many there are, of every state."""
    revision: int = 0
    """Grows with every change of a trial."""
    created_at: datetime
    updated_at: datetime


class TrialParam(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One parameter of a trial."""

    value: Any
    """What the objective was given."""
    internal: MetricValue
    """The number that Optuna knows it by."""
    distribution: str
    """What it was drawn from, as Optuna writes it in JSON."""


class Report(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An intermediate value of the objective."""

    step: Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
    """Place in the trial: epoch, iteration, batch."""
    value: MetricValue
    """A number, or "NaN", "Infinity", "-Infinity"."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt with some parameters; it is a run, too."""

    id: int
    study: int
    """Number of its study."""
    number: int
    """Counted from 0 in its study, without a gap."""
    run_id: str
    state: TrialState
    values: list[MetricValue] | None = None
    """One per objective, once it is complete; null where there are none."""
    params: dict[str, TrialParam] = {}
    reports: list[Report] = []
    """Intermediate values by step."""
    user_attrs: Attrs = {}
    system_attrs: Attrs = {}
    started_at: datetime | None = None
    ended_at: datetime | None = None
    revision: int = 0
    """The study's revision of its last change."""


class Trials(msgspec.Struct, frozen=True, kw_only=True):
    """Trials that changed after a revision, in the order of their changes."""

    items: list[Trial]
    revision: int
    """What to ask after next."""
    more: bool
    """Whether there are more now."""


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a change."""

    changed: bool
    """False when a trial that was to begin had begun already: somebody else has it."""
    revision: int
    started_at: datetime | None
    ended_at: datetime | None


class CreateStudy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A study to begin."""

    name: Annotated[str, msgspec.Meta(max_length=MAX_NAME)]
    """Unique in the project."""
    directions: list[Direction]
    """Of each objective, whether small or large values are good."""
    experiment: Name = "default"
    """Where the runs of its trials are."""


class UpdateStudy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Attributes to set; the others stay."""

    user_attrs: Attrs = {}
    """What people note, as JSON texts."""
    system_attrs: Attrs = {}
    """What Optuna notes, as JSON texts."""


class CreateTrial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A trial to begin, to put in line, or to take over as it was."""

    run_id: str | None = None
    """UUIDv7 of its run, chosen by the sender, so that a repeated request makes one trial."""
    state: TrialState = "running"
    """`waiting` puts it in line; the others begin it, or tell of one that has ended."""
    values: list[MetricValue] | None = None
    """One per objective, of one that is complete."""
    params: dict[str, TrialParam] = {}
    """First parameters."""
    reports: list[Report] = []
    """First intermediate values."""
    user_attrs: Attrs = {}
    """What people note, as JSON texts."""
    system_attrs: Attrs = {}
    """What Optuna notes, as JSON texts."""
    started_at: datetime | None = None
    """When it began, if not now."""
    ended_at: datetime | None = None
    """When it ended, if it has."""
    beat_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)] | None = None
    """The sender promises to be heard of so often, in seconds; one that is silent for three times that is dead."""
    owner: Annotated[str, msgspec.Meta(max_length=MAX_NAME)] = ""
    """Who works on it."""


class UpdateTrial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What shall be changed of a trial; what is left out stays."""

    state: TrialState | None = None
    """`running` claims one that waits; the others end it."""
    values: list[MetricValue] | None = None
    """One per objective."""
    params: dict[str, TrialParam] = {}
    """Parameters to set."""
    reports: list[Report] = []
    """Intermediate values to set; one of the same step is replaced."""
    user_attrs: Attrs = {}
    """What people note, as JSON texts."""
    system_attrs: Attrs = {}
    """What Optuna notes, as JSON texts."""
    owner: Annotated[str, msgspec.Meta(max_length=MAX_NAME)] = ""
    """Who claims it: the same sender may claim it twice."""
    error: Annotated[str, msgspec.Meta(max_length=10_000)] = ""
    """Why it failed."""
    beat_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)] | None = None
    """Who claims it promises to be heard of so often, in seconds; one that is silent for three times that is dead."""
    at: datetime | None = None
    """When the reports were made, so that a repeated request makes the same points; now when left out."""


def objective_names(count: int) -> list[str]:
    """Return what objectives are called that nobody named."""
    return ["objective"] if count == 1 else [f"objective_{place}" for place in range(count)]


def check_directions(directions: list[Direction]) -> None:
    """Raise BadInput for a study of no objective or of too many."""
    if not 1 <= len(directions) <= MAX_OBJECTIVES:
        raise BadInput(
            f"A study has 1 to {MAX_OBJECTIVES} objectives, not {len(directions)}.",
            where="directions",
            kept="nothing",
            todo="Give one direction per objective.",
        )


def check_attrs(where: str, attrs: Attrs, *, known: int = 0) -> None:
    """Raise BadInput for an attribute that is no JSON or has no fit name, TooLarge for one that is too long."""
    if known + len(attrs) > MAX_ATTRS:
        raise TooLarge(
            f"There would be {known + len(attrs)} attributes; {MAX_ATTRS} is the most.",
            where=where,
            kept="nothing of this request",
            todo="Put long lists into an artifact of the run.",
        )
    for name, text in attrs.items():
        if not 1 <= len(name) <= MAX_NAME or "\0" in name:
            raise BadInput(
                f"An attribute's name has 1 to {MAX_NAME} characters, not {len(name)}.",
                where=f"{where}.{name[:40]}",
                kept="nothing of this request",
                todo="Shorten it.",
            )
        if len(text.encode()) > MAX_ATTR_BYTES:
            raise TooLarge(
                f"The attribute has {len(text.encode()):,} bytes; {MAX_ATTR_BYTES:,} is the most.",
                where=f"{where}.{name}",
                kept="nothing of this request",
                todo="Store it as an artifact of the trial's run.",
            )


def check_values(values: list[MetricValue] | None, objectives: int, state: str) -> None:
    """Raise BadInput for values that a trial of this study cannot end with."""
    if state == "complete" and values is None:
        raise BadInput(
            "A complete trial has a value for each objective.",
            where="values",
            kept="the trial as it was",
            todo="Give values, or end it as `fail` or `pruned`.",
        )
    if values is None:
        return
    if len(values) != objectives:
        raise BadInput(
            f"There are {len(values)} values, and the study has {objectives} objectives.",
            where="values",
            kept="the trial as it was",
            todo="Give one value per objective.",
        )
    if state == "complete" and any(math.isnan(float(value)) for value in values):
        raise BadInput(
            "A value that is no number (NaN) cannot be compared with others.",
            where="values",
            kept="the trial as it was",
            todo="End the trial as `fail`.",
        )


def check_params(params: dict[str, TrialParam], known: dict[str, str]) -> None:
    """Raise Conflict for a parameter that is drawn from something else than before in this study.

    The rule is Optuna's: the same kind, the same choices in the same order, and the same scale (even or logarithmic);
    the ends may move.
    """
    for name, param in params.items():
        if not 1 <= len(name) <= MAX_NAME or "\0" in name:
            where = f"params.{name[:40]}"
            raise BadInput(f"A parameter's name has 1 to {MAX_NAME} characters.", where=where, todo="Shorten it.")
        now = _kind(name, param.distribution)
        if name in known and (before := _kind(name, known[name])) != now:
            raise Conflict(
                f"The parameter {name!r} was drawn from {_told(before)} before, and now from {_told(now)}.",
                where=f"params.{name}",
                kept="the trial without it",
                todo="Give the other one another name: within a study choices and scale stay.",
            )


_Kind = tuple[str, str, bool]


def _kind(name: str, distribution: str) -> _Kind:
    """Return what of a distribution must stay; NaN and Infinity stand in it as Python writes them."""
    found = read_distribution(name, distribution)
    attributes: dict[str, Any] = found["attributes"]
    return str(found["name"]), repr(attributes.get("choices")), bool(attributes.get("log"))


def read_distribution(name: str, distribution: str) -> dict[str, Any]:
    """Return a distribution as a tree; raise BadInput for a text that is none."""
    try:
        found: Any = json.loads(distribution)
        if isinstance(found["name"], str) and isinstance(found["attributes"], dict):
            return found
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise BadInput(
        f"{distribution[:60]!r} is no distribution.",
        where=f"params.{name[:40]}.distribution",
        kept="nothing of this request",
        todo="Send what optuna.distributions.distribution_to_json returns.",
    )


def _told(kind: _Kind) -> str:
    name, choices, log = kind
    return f"{name}({choices})" if choices != "None" else f"{name}({'log' if log else 'even'})"
