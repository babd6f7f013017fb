"""The ASGI application: every route of every table behind one door.

`wiring` fills the services, `App` puts operations, dialects, pages and the built-in routes into one router, asks
`access` who is calling, and turns every error into the answer that the route's face shows.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from gimbal.axis.projects.service import Projects
from gimbal.faces.server import arguments
from gimbal.faces.server.access import Access
from gimbal.faces.server.exchange import Exchange, Message, Receive, Send, send_reply
from gimbal.faces.server.metrics import RequestMeter
from gimbal.faces.server.router import Router
from gimbal.kernel.context import Context, Permission, Principal, Services
from gimbal.kernel.errors import DeadlineExceeded, GimbalError, NotAuthenticated
from gimbal.kernel.http import DialectRoute, Download, HttpReply, Upload, dialect_routes
from gimbal.kernel.ids import new_id
from gimbal.kernel.operations import PREFIX, Operation, invoke, operations
from gimbal.kernel.settings import Settings

_log = logging.getLogger(__name__)
_encoder = msgspec.json.Encoder(enc_hook=str, decimal_format="string")

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


class App:
    """Plain ASGI 3; the lifespan belongs to the process that runs it."""

    def __init__(self, services: Services, settings: Settings) -> None:
        self.services = services
        self.settings = settings
        self.access = Access(settings, services.get(Projects))
        self.meter = RequestMeter()
        self.router: Router[Route] = Router()
        self.unmatched: ErrorWriter = plain_error
        """Writes the errors of requests that no route answers."""
        for op in operations():
            self.add(op.method, PREFIX + op.path, self._operation(op))
        for row in dialect_routes():
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
        exchange = Exchange(scope, receive)
        started = time.perf_counter()
        reply, label = await self._reply(exchange)
        try:
            await send_reply(reply, exchange, send)
        except GimbalError as error:  # raised by the first chunk of a stream, before anything was sent
            reply = plain_error(error, exchange)
            await send_reply(reply, exchange, send)
        finally:
            self.meter.observe(label, exchange.method, reply.status, time.perf_counter() - started)

    async def _reply(self, exchange: Exchange) -> tuple[HttpReply, str]:
        on_error = self.unmatched
        label = "unmatched"
        try:
            route, exchange.parameters = self.router.match(exchange.method, exchange.raw_path)
            on_error, label = route.on_error, route.label
            principal = await self._principal(exchange, route)
            project = exchange.parameters.get("project") or exchange.headers.get("x-gimbal-project")
            ctx = Context(self.services, principal, project or self.home(principal), client=exchange.client)
            if route.allow is not Permission.OPEN:
                ctx.require(Permission.VIEW if principal.kind != "nobody" else route.allow)
            if "project" in exchange.parameters:
                await self.services.get(Projects).get(ctx, exchange.parameters["project"])
            return await route.answer(exchange, ctx), label
        except GimbalError as error:
            return on_error(error, exchange), label
        except Exception:  # noqa: BLE001 - the caller gets an id, the log gets the rest
            incident = new_id()
            _log.exception("incident %s at %s %s", incident, exchange.method, label)
            error = InternalError(
                "Something went wrong inside Gimbal.", where=incident, todo="Look for this id in the server's log."
            )
            return on_error(error, exchange), label

    async def _principal(self, exchange: Exchange, route: Route) -> Principal:
        return await self.access.principal(exchange)

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
                return _encode(await invoke(op, ctx, given))
            try:
                async with asyncio.timeout(limits.request_timeout_s):
                    return _encode(await invoke(op, ctx, given))
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
            ctx.require(row.allow)
            await self.services.get(Projects).get(ctx, ctx.project or "default")
            return await row.handler(ctx, exchange.request(limit))

        def written(error: GimbalError, exchange: Exchange) -> HttpReply:
            return row.on_error(error) if row.on_error else plain_error(error, exchange)

        return Route(label=f"{row.dialect} {row.path}", allow=row.allow, answer=answer, on_error=written)


def _encode(result: Any) -> HttpReply:
    if result is None:
        return HttpReply(status=204)
    if isinstance(result, Download):
        headers = {"content-disposition": f'attachment; filename="{result.filename}"'} if result.filename else {}
        if result.size is not None:
            headers["content-length"] = str(result.size)
        return HttpReply(body=result.chunks, media_type=result.media_type, headers=headers)
    return HttpReply(body=_encoder.encode(result))
