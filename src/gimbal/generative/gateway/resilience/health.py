"""Every model that this process calls, and how it fares: `attempt` tells it, `routes` asks it, the console shows it.

In memory and of one process. Providers that a project has for itself are kept apart from those of the same name elsewhere.
"""

import time
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Protocol

from gimbal.generative.gateway.provider import Choice
from gimbal.generative.gateway.resilience.faults import judge
from gimbal.generative.gateway.resilience.model import DEFAULT
from gimbal.generative.gateway.resilience.vitals import ModelHealth, ModelState
from gimbal.kernel.clock import SystemClock
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.settings_resilience import HealthSettings


class Known(Protocol):
    """Health as whoever chooses and attempts looks at it: by the names that a call's project uses."""

    @property
    def clock(self) -> Callable[[], float]:
        """Seconds that only grow; deadlines are by it."""
        ...

    def of(self, provider: str, model: str) -> ModelHealth:
        """Return what is known of a model, from now on if nothing was."""
        ...

    def usable(self, provider: str, model: str) -> bool:
        """Tell whether a call would be sent to it now."""
        ...

    def cost(self, provider: str, model: str, *, stream: bool) -> float:
        """Return its latency times the calls that would be under way, for choosing among models."""
        ...

    def broke_off(self, choice: Choice, problem: GimbalError) -> None:
        """Note that an answer which had begun ended with an error; nothing is tried again then."""
        ...

    def state(self, provider: str, model: str) -> ModelState | None:
        """Return how a model fares; None where nothing is known."""
        ...


class _Scoped:
    """The models of one project's names; those of its own providers apart from all others of the same name."""

    def __init__(self, health: "Health", project: str, own: Collection[str]) -> None:
        self._health = health
        self._project = project
        self._own = own
        self.clock = health.clock

    def of(self, provider: str, model: str) -> ModelHealth:
        """Return what is known of a model, from now on if nothing was."""
        return self._health.model(self._project if provider in self._own else "", provider, model)

    def usable(self, provider: str, model: str) -> bool:
        """Tell whether a call would be sent to it now."""
        found = self._health.known(self._project if provider in self._own else "", provider, model)
        return found is None or found.usable(self.clock())

    def cost(self, provider: str, model: str, *, stream: bool) -> float:
        """Return its latency times the calls that would be under way, for choosing among models."""
        found = self._health.known(self._project if provider in self._own else "", provider, model)
        return 0.0 if found is None else found.cost(self.clock(), stream=stream)

    def broke_off(self, choice: Choice, problem: GimbalError) -> None:
        """Note that an answer which had begun ended with an error; nothing is tried again then."""
        self.of(choice.provider, choice.model).broke_off(judge(problem, DEFAULT), problem)

    def state(self, provider: str, model: str) -> ModelState | None:
        """Return how a model fares; None where nothing is known."""
        found = self._health.known(self._project if provider in self._own else "", provider, model)
        return found.state() if found is not None else None


class Health(_Scoped):
    """The models of this process; by itself those of providers that the whole installation shares."""

    def __init__(
        self,
        settings: HealthSettings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self.settings = settings or HealthSettings()
        self.clock = clock
        self.now = now or SystemClock().now
        self._models: dict[tuple[str, str, str], ModelHealth] = {}
        self._views: dict[str, tuple[object, Known]] = {}
        super().__init__(self, "", ())

    def within(self, project: str, own: Collection[str], source: object = None) -> Known:
        """Return health by the names of a project; `own`: providers that are its alone, with its own keys and limits.

        It is remembered for as long as `of_project` is asked with the same `source`.
        """
        found = _Scoped(self, project, own) if own else self
        self._views[project] = source, found
        return found

    def of_project(self, project: str, source: object) -> Known | None:
        """Return what `within` made of the same source; None when it has changed or was never made."""
        held = self._views.get(project)
        return held[1] if held is not None and held[0] is source else None

    def model(self, scope: str, provider: str, model: str) -> ModelHealth:
        """Return what is known of a model, from now on if nothing was; `scope`: the project of its provider, if any."""
        found = self._models.get((scope, provider, model))
        return found if found is not None else self._new(scope, provider, model)

    def known(self, scope: str, provider: str, model: str) -> ModelHealth | None:
        """Return what is known of a model; None where nothing is."""
        return self._models.get((scope, provider, model))

    def _new(self, scope: str, provider: str, model: str) -> ModelHealth:
        if len(self._models) >= self.settings.most_models:
            idle = (key for key, known in self._models.items() if known.idle())
            del self._models[next(idle, next(iter(self._models)))]
        found = self._models[scope, provider, model] = ModelHealth(
            self.settings, self.clock, self.now, scope, provider, model
        )
        return found

    def snapshot(self) -> list[ModelState]:
        """Return every model by project, provider and name."""
        return [self._models[key].state() for key in sorted(self._models)]
