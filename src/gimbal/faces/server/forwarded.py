"""Who calls by way of a trusted proxy: uvicorn's reading of `X-Forwarded-For` and `-Proto`, for requests that have them.

The others, which are nearly all, do not pay for it.
"""

from collections.abc import Awaitable
from typing import Any

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

_NAMES = frozenset({b"x-forwarded-for", b"x-forwarded-proto"})


class Forwarded:
    """An ASGI application before another, without a coroutine of its own."""

    def __init__(self, app: Any, trusted: list[str] | str) -> None:
        """`trusted` are the addresses of proxies, as uvicorn has them."""
        self._app = app
        self._behind = ProxyHeadersMiddleware(app, trusted)

    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        """Serve one request."""
        for name, _ in scope.get("headers", ()):
            if name in _NAMES:
                return self._behind(scope, receive, send)
        return self._app(scope, receive, send)
