"""How the models that were called lately stand: what this process knows of their health beside what the traces tell.

Pure. Health is of one process and of all projects: who looks at one project sees of shared providers only the models that
it called itself, and no counts of others' calls.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from gimbal.generative.gateway.resilience.breaker import CLOSED, HALF_OPEN, OPEN
from gimbal.generative.gateway.resilience.vitals import ModelState
from gimbal.generative.gateway.traffic import Figures, Rerouted

LATELY = timedelta(minutes=5)
"""How long ago calls may have been rerouted to be called an outage where no breaker here says so."""
_LEAST = 3
# What stands first is what somebody must look at.
_ORDER = ("down", "probing", "paused", "failing", "rerouted", "shaky", "up", "unseen")


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One model: its calls of the last hour, its health here, and whom its calls went on to."""

    called: str
    """`provider/model`."""
    word: str
    """down, probing, paused, failing, rerouted, shaky, up or unseen."""
    calls: Figures | None = None
    """None where the project called it only before the last hour."""
    state: ModelState | None = None
    """None where this process did not call it."""
    counted: bool = False
    """Whether the state's counts may be shown: of the project's own provider, or to who may see all projects."""
    rerouted: tuple[Rerouted, ...] = ()

    @property
    def out(self) -> bool:
        """Whether calls do not get there, or most of them fail."""
        return self.word in {"down", "probing", "paused", "failing", "rerouted"}

    @property
    def provider(self) -> str:
        """Name of the provider."""
        return self.called.partition("/")[0]

    @property
    def model(self) -> str:
        """Name of the model at its provider."""
        return self.called.partition("/")[2] or self.called

    @property
    def moved(self) -> int:
        """Calls that another model answered."""
        return sum(one.calls for one in self.rerouted if one.to)

    @property
    def lost(self) -> int:
        """Calls that nobody answered."""
        return sum(one.calls for one in self.rerouted if not one.to)


def standings(
    models: Sequence[Figures],
    rerouted: Sequence[Rerouted],
    states: Iterable[ModelState],
    *,
    project: str,
    everywhere: bool,
    now: datetime,
) -> list[Standing]:
    """Return the models that the project called or that are its own, outages first, then the most called."""
    calls = {one.called: one for one in models if one.reached}
    moved: dict[str, list[Rerouted]] = {}
    for one in rerouted:
        moved.setdefault(one.model, []).append(one)
    known: dict[str, ModelState] = {}
    for state in states:
        called = f"{state.provider}/{state.model}"
        mine = state.scope == project
        if mine or (not state.scope and (everywhere or called in calls or called in moved)):
            # A project's own provider comes before one of that name which all share.
            known[called] = state if mine or called not in known else known[called]
    found = [
        Standing(
            called=called,
            word=_word(known.get(called), moved.get(called, ()), now),
            calls=calls.get(called),
            state=known.get(called),
            counted=called in known and (everywhere or known[called].scope == project),
            rerouted=tuple(moved.get(called, ())),
        )
        for called in {*calls, *moved, *known}
    ]
    return sorted(found, key=lambda one: (_ORDER.index(one.word), -(one.calls.calls if one.calls else 0), one.called))


def _word(state: ModelState | None, moved: Sequence[Rerouted], now: datetime) -> str:
    if state is None:
        return "rerouted" if any(now - one.last < LATELY for one in moved) else "unseen"
    if state.state != CLOSED:
        return {OPEN: "down", HALF_OPEN: "probing"}.get(state.state, "paused")
    if state.window_failures * 2 >= state.window_calls >= _LEAST:
        return "failing"
    if state.window_failures:
        return "shaky"
    return "up"


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """A provider of which at least one model is out."""

    provider: str
    models: tuple[Standing, ...]

    @property
    def moved(self) -> int:
        """Calls that another model answered."""
        return sum(one.moved for one in self.models)

    @property
    def lost(self) -> int:
        """Calls that nobody answered."""
        return sum(one.lost for one in self.models)

    @property
    def to(self) -> tuple[tuple[str, int], ...]:
        """Who answered instead, and how many calls."""
        sums: dict[str, int] = {}
        for one in (row for model in self.models for row in model.rerouted if row.to):
            sums[one.to] = sums.get(one.to, 0) + one.calls
        return tuple(sorted(sums.items(), key=lambda entry: (-entry[1], entry[0])))


def outages(found: Iterable[Standing]) -> list[Outage]:
    """Return the outages by provider, in the order of the models."""
    by: dict[str, list[Standing]] = {}
    for one in found:
        if one.out:
            by.setdefault(one.provider, []).append(one)
    return [Outage(provider=name, models=tuple(models)) for name, models in by.items()]
