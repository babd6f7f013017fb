"""The ASGI application: every route of every table behind one door.

`wiring` fills the services, `App` puts operations, dialects, pages and the built-in routes into one router, asks
`access` who is calling, and turns every error into the answer that the route's face shows.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from gimbal.axis.projects.service import Projects
from gimbal.faces.server import arguments
from gimbal.faces.server.access import Access
from gimbal.faces.server.downloads import downloaded
from gimbal.faces.server.exchange import Exchange, Message, Receive, Send, send_reply
from gimbal.faces.server.metrics import RequestMeter
from gimbal.faces.server.router import Router
from gimbal.kernel.context import NOBODY, Context, Permission, Principal, Services
from gimbal.kernel.errors import DeadlineExceeded, GimbalError, MethodNotAllowed, NotAuthenticated
from gimbal.kernel.http import BodyRoom, DialectRoute, Download, HttpReply, Upload, dialect_routes
from gimbal.kernel.ids import new_id
from gimbal.kernel.operations import PREFIX, Operation, invoke, operations
from gimbal.kernel.settings import Settings

_log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder(enc_hook=str, decimal_format="string")

# What the request metrics show of a caller who went away before the answer was there.
_CLIENT_GONE = 499

ErrorWriter = Callable[[GimbalError, Exchange], HttpReply]


class InternalError(GimbalError):
    """Something that nobody foresaw; the log has the details under the id."""

    code = "internal"
    status = 500


def plain_error(error: GimbalError, _exchange: Exchange) -> HttpReply:
    """Write an error in our own form."""
    headers = {"retry-after": str(max(1, round(error.retry_after)))} if error.retry_after else {}
    if isinstance(error, NotAuthenticated):
        headers["www-authenticate"] = "Bearer"
    return HttpReply(status=error.status, body=error.as_json(), headers=headers)


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the router."""

    label: str
    """What the request metrics call it: the template, never a path with values."""
    allow: Permission
    answer: Callable[[Exchange, Context], Awaitable[HttpReply]]
    on_error: ErrorWriter = plain_error
    checks: bool = False
    """Whether `answer` itself begins with asking for what is allowed."""


class _Row:
    """What answers a request, as far as it is known."""

    def __init__(self, on_error: ErrorWriter) -> None:
        self.label = "unmatched"
        self.on_error = on_error


class App:
    """Plain ASGI 3; the lifespan belongs to the process that runs it."""

    def __init__(
        self,
        services: Services,
        settings: Settings,
        *,
        tables: tuple[Sequence[Operation], Sequence[DialectRoute]] | None = None,
    ) -> None:
        """Serve every operation and dialect that is declared, or those of `tables`."""
        self.services = services
        self.settings = settings
        self.access = Access(settings, services.get(Projects))
        self.meter = RequestMeter()
        self.room = BodyRoom(settings.server.max_held_bytes)
        """What the bodies of requests take, over HTTP and gRPC."""
        self.router: Router[Route] = Router()
        self.unmatched: ErrorWriter = plain_error
        """Writes the errors of requests that no route answers."""
        served, foreign = tables or (operations(), dialect_routes())
        for op in served:
            self.add(op.method, PREFIX + op.path, self._operation(op))
        for row in foreign:
            self.add(row.method, row.path, self._dialect(row))

    def add(self, method: str, template: str, route: Route) -> None:
        """Put one more route into the router."""
        self.router.add(method, template, route)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1000})
            return
        exchange = Exchange(scope, receive, self.room)
        row = _Row(self.unmatched)
        started, status = time.perf_counter(), _CLIENT_GONE
        try:
            try:
                reply = await self._answer(exchange, row)
                status = reply.status
                await send_reply(reply, exchange, send)
            except Exception as problem:  # noqa: BLE001 - whatever it is, the caller gets an answer and the log the rest
                reply = self._failed(problem, exchange, row)
                # Once a stream has begun, its end without the last chunk tells the caller that it is not whole.
                if not exchange.begun:
                    status = reply.status
                    await send_reply(reply, exchange, send)
        finally:
            exchange.end()
            self.meter.observe(row.label, exchange.method, status, time.perf_counter() - started)

    async def _answer(self, exchange: Exchange, row: "_Row") -> HttpReply:
        route, exchange.parameters = self.router.match(exchange.method, exchange.raw_path)
        row.on_error, row.label = route.on_error, route.label
        try:
            principal = await self.access.principal(exchange)
        except NotAuthenticated:
            # Whoever holds a key that is worth nothing any more must still get in to sign in with another.
            if route.allow is not Permission.OPEN:
                raise
            principal = NOBODY
        project = exchange.parameters.get("project") or exchange.headers.get("x-gimbal-project")
        ctx = Context(self.services, principal, project or self.home(principal), client=exchange.client)
        if route.allow is not Permission.OPEN and not route.checks:
            ctx.require(Permission.VIEW if principal.kind != "nobody" else route.allow)
        if "project" in exchange.parameters:
            await self.services.get(Projects).get(ctx, exchange.parameters["project"])
        return await route.answer(exchange, ctx)

    def _failed(self, problem: Exception, exchange: Exchange, row: "_Row") -> HttpReply:
        """Return the answer to a request that failed, in the form of its face."""
        if isinstance(problem, GimbalError):
            error = problem
        else:
            incident = new_id()
            _log.error("incident %s at %s %s", incident, exchange.method, row.label, exc_info=problem)
            error = InternalError(
                "Something went wrong inside Gimbal.", where=incident, todo="Look for this id in the server's log."
            )
        try:
            reply = row.on_error(error, exchange)
        except Exception:  # noqa: BLE001 - a caller gets an answer also when its form fails
            _log.exception("the error %s could not be shown as its face shows errors", error.code)
            reply = plain_error(error, exchange)
        if isinstance(error, MethodNotAllowed):
            return msgspec.structs.replace(reply, headers={**reply.headers, "allow": error.where})
        return reply

    def home(self, principal: Principal) -> str:
        """Return the project meant where none is named: that of a key for one project, else the default."""
        if principal.everywhere is None and len(principal.roles) == 1:
            return next(iter(principal.roles))
        return self.settings.project

    def _operation(self, op: Operation) -> Route:
        limits = self.settings.server
        takes_upload = op.body is not None and op.body.type is Upload

        async def answer(exchange: Exchange, ctx: Context) -> HttpReply:
            if "project" not in exchange.parameters:
                ctx.project = None
            upload = exchange.upload(limits.max_upload_bytes if takes_upload else limits.max_body_bytes)
            body: bytes | Upload = upload if takes_upload else b""
            if op.body is not None and not takes_upload:
                body = await upload.read()
            given = arguments.from_http(op, exchange.parameters, exchange.query(), body)
            if takes_upload or op.streams:
                return _encode(await invoke(op, ctx, given), exchange)
            try:
                async with asyncio.timeout(limits.request_timeout_s):
                    return _encode(await invoke(op, ctx, given), exchange)
            except TimeoutError:
                raise DeadlineExceeded(
                    f"{op.name} took longer than {limits.request_timeout_s:g} s.",
                    kept="nothing that was not committed before",
                    todo="Ask for less, or raise server.request_timeout_s.",
                ) from None

        return Route(label=op.name, allow=op.allow, answer=answer)

    def _dialect(self, row: DialectRoute) -> Route:
        server = self.settings.server
        limit = server.max_upload_bytes if row.large else server.max_body_bytes

        async def answer(exchange: Exchange, ctx: Context) -> HttpReply:
            ctx.origin = row.dialect
            if not row.places:
                await self.services.get(Projects).enter(ctx, row.allow)
            return await row.handler(ctx, exchange.request(limit))

        def written(error: GimbalError, exchange: Exchange) -> HttpReply:
            if row.on_error_in:
                return row.on_error_in(error, exchange.media_type)
            return row.on_error(error) if row.on_error else plain_error(error, exchange)

        return Route(label=f"{row.dialect} {row.path}", allow=row.allow, answer=answer, on_error=written, checks=True)


def _encode(result: Any, exchange: Exchange) -> HttpReply:
    if result is None:
        return HttpReply(status=204)
    if isinstance(result, Download):
        return downloaded(result, exchange.method, exchange.headers)
    return HttpReply(body=_encoder.encode(result))
