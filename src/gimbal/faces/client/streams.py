"""Functions of every kind under a span: plain ones, async ones, and generators of both kinds, which stay what they are.

A generator's reader may send and throw into it, leave it, or read it in another context: the function under the span
sees all of it, and what the reader does between two items is no child of the span.
"""

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class Stage(Protocol):
    """What these wrappers need of a span."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None: ...
    def set(self, *, output: Any) -> None:
        """Note the result."""
        ...

    def pause(self, item: Any) -> None:
        """Hand an item to the reader."""
        ...

    def resume(self) -> None:
        """Go on."""
        ...


Made = Callable[[tuple[Any, ...], dict[str, Any]], Stage]


def traced(function: F, made: Made) -> F:
    """Return the function with a span around each call; `made` makes it from the arguments."""
    if inspect.isasyncgenfunction(function):
        return _streamed(function, made)  # type: ignore[return-value]
    if inspect.isgeneratorfunction(function):
        return _yielded(function, made)  # type: ignore[return-value]
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            with made(args, kwargs) as span:
                result = await function(*args, **kwargs)
                span.set(output=result)
                return result

        return awaited  # type: ignore[return-value]

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        with made(args, kwargs) as span:
            result = function(*args, **kwargs)
            span.set(output=result)
            return result

    return called  # type: ignore[return-value]


def _yielded(function: Callable[..., Any], made: Made) -> Callable[..., Any]:
    @functools.wraps(function)
    def yielded(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with made(args, kwargs) as span:
            inner: Generator[Any, Any, Any] = function(*args, **kwargs)
            step = functools.partial(next, inner)
            while True:
                try:
                    item = step()
                except StopIteration as end:
                    return end.value
                span.pause(item)
                try:
                    sent = yield item
                except GeneratorExit:
                    span.resume()
                    inner.close()
                    raise
                except BaseException as error:  # noqa: BLE001 - the reader's, handed on to the function
                    span.resume()
                    step = functools.partial(inner.throw, error)
                else:
                    span.resume()
                    step = functools.partial(inner.send, sent)

    return yielded


def _streamed(function: Callable[..., Any], made: Made) -> Callable[..., Any]:
    @functools.wraps(function)
    async def streamed(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        with made(args, kwargs) as span:
            inner: AsyncGenerator[Any, Any] = function(*args, **kwargs)
            step = functools.partial(anext, inner)
            while True:
                try:
                    item = await step()
                except StopAsyncIteration:
                    return
                span.pause(item)
                try:
                    sent = yield item
                except GeneratorExit:
                    span.resume()
                    await inner.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001 - the reader's, handed on to the function
                    span.resume()
                    step = functools.partial(inner.athrow, error)
                else:
                    span.resume()
                    step = functools.partial(inner.asend, sent)

    return streamed
