"""The table of MLflow's calls: one row declares a call under all the prefixes that clients use.

A handler is asked with a decoded record and returns what is encoded as the answer; `None` is an empty object. `raw`
rows get the request itself: files are no JSON.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from gimbal.axis.projects.workspaces import in_workspace
from gimbal.faces.mlflow.errors import problem
from gimbal.faces.mlflow.wire import decoded, encoded
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.http import HttpReply, HttpRequest, dialect

DIALECT = "mlflow"
PREFIXES = {2: ("/api/2.0", "/ajax-api/2.0"), 3: ("/api/3.0", "/ajax-api/3.0"), 4: ("/api/4.0", "/ajax-api/4.0")}
"""By version of the interface; browsers come by way of `ajax-api`."""

T = TypeVar("T")
Handler = Callable[[Context, T], Awaitable[Any]]
RawHandler = Callable[[Context, HttpRequest], Awaitable[HttpReply]]


class Nothing(msgspec.Struct, frozen=True, kw_only=True):
    """A call that asks nothing."""


def call(
    method: str, path: str, asked: type[T], *, allow: Permission, version: int = 2
) -> Callable[[Handler[T]], Handler[T]]:
    """Declare a call in JSON; what stands in the path is a field of `asked` like those of the body or query."""

    def declare(handler: Handler[T]) -> Handler[T]:
        async def answer(ctx: Context, request: HttpRequest) -> HttpReply:
            inner = await placed(ctx, request, allow)
            found = await handler(inner, await decoded(request, asked))
            await inner.settle()
            return HttpReply(body=encoded(found))

        _put(method, [prefix + path for prefix in PREFIXES[version]], answer, allow=allow)
        return handler

    return declare


def raw(
    method: str, path: str, *, allow: Permission, version: int = 2, large: bool = False
) -> Callable[[RawHandler], RawHandler]:
    """Declare a call that reads the request and writes the answer itself; `large` bodies are uploads."""

    def declare(handler: RawHandler) -> RawHandler:
        bare(method, *[prefix + path for prefix in PREFIXES[version]], allow=allow, large=large)(handler)
        return handler

    return declare


def bare(method: str, *paths: str, allow: Permission, large: bool = False) -> Callable[[RawHandler], RawHandler]:
    """Declare a call under whole paths: those that have no prefix, and those whose prefix is odd."""

    def declare(handler: RawHandler) -> RawHandler:
        async def answer(ctx: Context, request: HttpRequest) -> HttpReply:
            inner = await placed(ctx, request, allow)
            reply = await handler(inner, request)
            await inner.settle()
            return reply

        _put(method, list(paths), answer, allow=allow, large=large)
        return handler

    return declare


async def placed(ctx: Context, request: HttpRequest, allow: Permission) -> Context:
    """Return a context in the workspace that the request names, else in the project of the key; raise as it does."""
    return ctx if allow is Permission.OPEN else await in_workspace(ctx, request.headers, allow)


def _put(method: str, paths: list[str], answer: RawHandler, *, allow: Permission, large: bool = False) -> None:
    for path in paths:
        dialect(method, path, dialect=DIALECT, allow=allow, large=large, on_error=problem, places=True)(answer)
