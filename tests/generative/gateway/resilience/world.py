"""A world without waiting: an event loop whose time jumps to the next timer, and providers that answer by a script."""

import asyncio
import math
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from gimbal.engines.http.model import Broken, Deadlines, TooSlow, Unreachable
from gimbal.generative.gateway.conversation import Piece
from gimbal.generative.gateway.provider import Answer, Choice, Refusal
from gimbal.generative.gateway.resilience.health import Health
from gimbal.generative.gateway.resilience.model import Attempt, Outcome, Plan, Resilience
from gimbal.kernel.errors import GimbalError
from gimbal.kernel.settings_resilience import HealthSettings

T = TypeVar("T")
Told = Answer | GimbalError | type[BaseException]
Script = Callable[[int, float], tuple[float, Told]]
"""Number of the call at this model, and the time: after how many seconds it says what."""


class _Selector(selectors.DefaultSelector):
    """Does not wait: it tells the loop how long it would have."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Advance the loop's time instead of waiting."""
        if timeout is None:
            raise RuntimeError("everybody waits for something that will never come")
        if timeout > 0:
            # Always by something, also where so little is lost in the sum.
            self.loop.virtual = max(self.loop.virtual + timeout, math.nextafter(self.loop.virtual, math.inf))
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with a time of its own."""

    def __init__(self) -> None:
        selector = _Selector()
        selector.loop = self
        self.virtual = 1000.0
        super().__init__(selector)

    def time(self) -> float:
        """Return the virtual time; it never stands still where a timer is due."""
        return self.virtual


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a world of its own, in no time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def whole(text: str = "hello", **fields: Any) -> Answer:
    """Return a whole answer."""
    return Answer(whole=Piece(text=text, finish=fields.pop("finish", "stop"), **fields))


def refusal(status: int, *, retry_after: float | None = None, body: bytes = b"", seen: int | None = None) -> Refusal:
    """Return what a provider's error status becomes; `seen`: what the caller sees."""
    return Refusal(
        f"It answered {status}.",
        status=seen or status,
        code="provider_refused",
        provider_status=status,
        body=body,
        retry_after=retry_after,
    )


def broken(*, begun: bool) -> Broken:
    """Return a connection that ended."""
    problem = Broken("The connection ended.")
    problem.begun = begun
    return problem


def unreachable() -> Unreachable:
    """Return a connection that could not be made."""
    return Unreachable("Nobody is there.")


def always(seconds: float, told: Callable[[], Told]) -> Script:
    """Return the script of a model that always says the same."""
    return lambda _, __: (seconds, told())


class World:
    """Providers by script, a health with the loop's time, and a list of what was sent when."""

    def __init__(self, scripts: dict[str, Script], settings: HealthSettings | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.health = Health(settings, clock=self.loop.time)
        self.scripts = scripts
        self.sent: list[tuple[float, str]] = []
        """When, and to which `provider/model`."""
        self.deadlines: list[Deadlines] = []
        self.stopped: list[str] = []
        """Models whose attempt was cancelled."""
        self.opened: list[Answer] = []
        self.closed: list[Answer] = []
        self.under_way = 0
        self.most_under_way = 0
        self.numbers: dict[str, int] = {}

    @property
    def now(self) -> float:
        """The time."""
        return self.loop.time()

    def count(self, name: str) -> int:
        """Return how many attempts a model got."""
        return self.numbers.get(name, 0)

    async def open_one(self, choice: Choice, deadlines: Deadlines) -> Answer:
        """Answer as the model's script says, within the deadlines."""
        name = f"{choice.provider}/{choice.model}"
        number = self.numbers[name] = self.count(name) + 1
        self.sent.append((self.now, name))
        self.deadlines.append(deadlines)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            seconds, told = self.scripts[name](number, self.now)
            patience = min(deadlines.first_byte_s, deadlines.total_s)
            if seconds > patience:
                await asyncio.sleep(patience)
                problem = TooSlow("It took too long.")
                problem.phase = "total" if deadlines.total_s <= deadlines.first_byte_s else "first_byte"
                raise problem
            if seconds:
                await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.stopped.append(name)
            raise
        finally:
            self.under_way -= 1
        if isinstance(told, Answer):
            return self._closing(told)
        raise told

    def _closing(self, answer: Answer) -> Answer:
        async def close() -> None:
            self.closed.append(answer)

        answer._close = close
        self.opened.append(answer)
        return answer


def plan(*names: str, **resilience: Any) -> Plan:
    """Return a plan over `provider/model` names."""
    choices = tuple(Choice(provider=p, model=m) for p, _, m in (name.partition("/") for name in names))
    return Plan(choices=choices, resilience=Resilience(**resilience))


def outcomes(found: Outcome | list[Attempt]) -> list[tuple[str, str, str]]:
    """Return kind, model and outcome of each attempt."""
    rows = found.attempts if isinstance(found, Outcome) else found
    return [(row.kind, f"{row.choice.provider}/{row.choice.model}", row.outcome) for row in rows]
