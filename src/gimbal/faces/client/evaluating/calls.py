"""Calls of a function: so many at a time, each in a trace of its own and with a time limit, none stopped by another.

A call that takes too long is given up: nobody can stop a thread, so it goes on in the background until the function
returns, and what it returns then is not looked at.
"""

import asyncio
import functools
import inspect
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from gimbal.axis.evals.answers import RecordedAnswer
from gimbal.axis.evals.model import Example
from gimbal.faces.client.client import Client
from gimbal.faces.client.evaluating.returned import Arguments, answer_of, failed
from gimbal.faces.client.tracing import Span, trace

Keep = Callable[[RecordedAnswer], None]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One answer that is to be had."""

    example: Example
    repeat: int


class Calls:
    """Calls one function with many questions; `start` once."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str,
        evaluation_id: str,
        concurrency: int,
        timeout_s: float,
        keep: Keep,
        client: Client,
    ) -> None:
        """`keep` is given each answer, from threads of its own, and may take its time; what it raises ends the calls."""
        self._function = function
        self._arguments = Arguments(function)
        self._name = name
        self._evaluation_id = evaluation_id
        self._concurrency = concurrency
        self._timeout_s = timeout_s
        self._keep = keep
        self._client = client
        self._lock = threading.Lock()
        self._left = 0
        """Threads, or loops, that still have calls."""
        self._ended = threading.Event()
        self._waiting: Iterator[Question] = iter(())
        self._stopped = threading.Event()
        self.failure: Exception | None = None
        """What `keep` raised, or what kept calls from being made."""
        self.done = 0
        """Answers that were kept."""

    def start(self, waiting: Iterator[Question]) -> None:
        """Begin to call, in threads of its own: a program that is interrupted does not wait for them."""
        self._waiting = waiting
        # A loop of its own for coroutines, so that it may be asked for inside another one, in a notebook say.
        works = [self._loop] if _is_async(self._function) else [self._work] * self._concurrency
        self._left = len(works)
        for work in works:
            threading.Thread(target=work, name="gimbal-evaluate", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Wait for the end, at most so long; return whether it has come."""
        return self._ended.wait(seconds)

    def stop(self) -> None:
        """Begin no more calls."""
        self._stopped.set()

    def _next(self) -> Question | None:
        with self._lock:
            return None if self._stopped.is_set() else next(self._waiting, None)

    def _kept(self, answer: RecordedAnswer) -> None:
        try:
            self._keep(answer)
        except Exception as problem:  # noqa: BLE001 - whoever waits for the end raises it
            self._broke(problem)
        else:
            with self._lock:
                self.done += 1

    def _broke(self, problem: Exception) -> None:
        self.failure = self.failure or problem
        self.stop()

    def _work(self) -> None:
        try:
            while (question := self._next()) is not None:
                call = _Call(self, question)
                # A thread for each call begins without the context of another, and can be left alone when it takes too
                # long.
                thread = threading.Thread(target=call.run, name="gimbal-call", daemon=True)
                thread.start()
                thread.join(self._timeout_s)
                self._kept(call.answer or call.late(self._timeout_s))
        except Exception as problem:  # noqa: BLE001 - a process may have no more threads; whoever waits must hear of it
            self._broke(problem)
        finally:
            self._end()

    def _end(self) -> None:
        with self._lock:
            self._left -= 1
            if not self._left:
                self._ended.set()

    def _loop(self) -> None:
        asyncio.run(self._all())

    async def _all(self) -> None:
        async def work() -> None:
            while (question := self._next()) is not None:
                call = _Call(self, question)
                task = asyncio.create_task(call.run_async())
                await asyncio.wait({task}, timeout=self._timeout_s)
                answer = call.answer or call.late(self._timeout_s)
                # Not awaited: a coroutine may refuse to be cancelled, and would keep all others.
                task.cancel()
                await asyncio.to_thread(self._kept, answer)

        try:
            await asyncio.gather(*(work() for _ in range(self._concurrency)))
        except Exception as problem:  # noqa: BLE001 - as above
            self._broke(problem)
        finally:
            # Not once the loop has closed: that waits for coroutines that were given up.
            self._end()

    def span(self, question: Question) -> Span:
        """Return a trace for a call; it has its input and says what it is for."""
        found = trace(self._name, client=self._client)
        told = {"gimbal.evaluation.id": self._evaluation_id, "gimbal.example.id": question.example.id}
        found.set(input=question.example.input, **told)
        return found

    def arguments(self, question: Question) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return what the function is called with."""
        return self._arguments.of(question.example.input)

    @property
    def function(self) -> Callable[..., Any]:
        """What is called."""
        return self._function


class _Call:
    """One call, and what came of it."""

    def __init__(self, calls: Calls, question: Question) -> None:
        self._calls = calls
        self._question = question
        self._span: Span | None = None
        self._begun = 0.0
        self.answer: RecordedAnswer | None = None

    def run(self) -> None:
        """Call it, whatever it raises: also what would end the program."""
        try:
            with self._opened() as span:
                returned = self._called()
                if inspect.isawaitable(returned):
                    returned = asyncio.run(_awaited(returned))
                self._took(returned, span)
        except BaseException as problem:  # noqa: BLE001 - it is an error of this example
            self._raised(problem)

    async def run_async(self) -> None:
        """Await it, whatever it raises."""
        try:
            with self._opened() as span:
                self._took(await self._called(), span)
        except BaseException as problem:  # noqa: BLE001 - as above; of a call that is given up nobody looks at it
            self._raised(problem)

    def late(self, timeout_s: float) -> RecordedAnswer:
        """Return that there is no answer yet."""
        told = f"No answer within {timeout_s:g} s."
        return failed(
            told,
            self._question.example,
            self._question.repeat,
            latency_ms=None,
            trace_id=self._trace_id,
            timed_out=True,
        )

    @property
    def _trace_id(self) -> str:
        return self._span.trace_id if self._span else ""

    def _opened(self) -> Span:
        self._span = self._calls.span(self._question)
        return self._span

    def _called(self) -> Any:
        args, kwargs = self._calls.arguments(self._question)
        self._begun = time.perf_counter()
        return self._calls.function(*args, **kwargs)

    def _took(self, returned: Any, span: Span) -> None:
        latency_ms = (time.perf_counter() - self._begun) * 1000
        example, repeat = self._question.example, self._question.repeat
        self.answer = answer_of(returned, example, repeat, latency_ms=latency_ms, trace_id=self._trace_id)
        told = self.answer
        span.set(output=told.error or (told.text if told.text is not None else told.value))

    def _raised(self, problem: BaseException) -> None:
        latency_ms = (time.perf_counter() - self._begun) * 1000 if self._begun else None
        try:
            told = f"{type(problem).__name__}: {problem}".removesuffix(": ")
        except Exception:  # noqa: BLE001 - an exception's own text may raise, too
            told = type(problem).__name__
        example, repeat = self._question.example, self._question.repeat
        self.answer = failed(told, example, repeat, latency_ms=latency_ms, trace_id=self._trace_id)


def _is_async(function: Callable[..., Any]) -> bool:
    written: Any = function
    while isinstance(written, functools.partial):
        written = written.func
    called: Any = type(written).__call__
    return inspect.iscoroutinefunction(written) or inspect.iscoroutinefunction(called)


async def _awaited(given: Any) -> Any:
    return await given
