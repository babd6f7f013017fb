"""What goes through untouched, both ways and as it comes: files, batches, images, audio and moderation of OpenAI's wire.

It is authenticated and recorded as any call; the provider is the one of the header `x-gimbal-provider`, else that of the
model's name in a JSON body, else `openai`.
"""

import time
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import msgspec

from gimbal.axis.traces.model import Span
from gimbal.engines.http.model import Deadlines, Response, SizedBody
from gimbal.generative.gateway.attribution import attributed, traced, waits_s
from gimbal.generative.gateway.call import Attribution
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.generative.gateway.providers.upstreams.refusals import shown
from gimbal.generative.gateway.providers.upstreams.sending import Sender
from gimbal.generative.gateway.recording import recorded
from gimbal.generative.gateway.wire.openai_chat import WIRE
from gimbal.generative.gateway.wire.protocol import Asked
from gimbal.kernel.clock import to_us
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, GimbalError
from gimbal.kernel.http import HttpReply, HttpRequest, dialect
from gimbal.kernel.ids import new_span_id

_DEFAULT = "openai"
# Each use is billed; the others cost nothing by themselves.
_BILLED = ("images", "audio")
_UNKNOWN_COST = "pass_through"
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)


class _Passing:
    """One request on its way through."""

    def __init__(self, ctx: Context, request: HttpRequest) -> None:
        self.ctx = ctx
        self.request = request
        self.path = request.path.removeprefix("/v1/")
        self.trace = traced(request.headers)
        self.attribution: Attribution = attributed(
            Asked(model="", fields={}), request.headers, request.path, ctx.principal.attribution
        )
        self.span_id = new_span_id()
        self.started_us = to_us(ctx.now())
        self._begun = time.perf_counter()
        self.provider = ""
        self.pricing = ""
        self.model = ""
        self.ended = False

    async def send(self) -> Response:
        """Send it to its provider; raise the error that the caller shall see."""
        request, project = self.request, self.ctx.project or "default"
        body: bytes | AsyncIterator[bytes] = aiter(request.body)
        if request.body.announced is not None:
            # Not every provider takes an upload in chunks.
            body = SizedBody(body, request.body.announced)
        named = request.headers.get("x-gimbal-provider", "")
        if request.body.media_type == "application/json":
            body = await request.body.read()
            body, named = self._of_model(body, named)
        provider = await self.ctx.get(Providers).get(project, named or _DEFAULT)
        if not isinstance(provider, Sender):
            raise BadInput(f"{provider.name} passes nothing through.", where="x-gimbal-provider", todo="Name another.")
        self.provider, self.pricing = provider.name, provider.pricing
        query = urlencode(request.query)
        headers = [(name.encode(), value.encode("latin-1")) for name, value in request.headers.items()]
        path = f"{self.path}?{query}" if query else self.path
        waits = waits_s(request.headers)
        deadlines = Deadlines() if waits is None else Deadlines(total_s=waits)
        return await provider.pass_through(request.method, path, headers, body, deadlines=deadlines)

    def _of_model(self, body: bytes, named: str) -> tuple[bytes, str]:
        """Return the body with the model's name as its provider knows it, and the provider that the name says."""
        try:
            fields = _object.decode(body)
            model = _text.decode(fields["model"]) if "model" in fields else ""
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
            raise BadInput(
                f"The body is not a JSON object: {problem}.", where="body", todo="Send UTF-8 JSON."
            ) from None
        provider, slash, rest = model.partition("/")
        self.model = rest if slash else model
        if not slash:
            return body, named
        fields["model"] = msgspec.Raw(msgspec.json.encode(rest))
        return msgspec.json.encode(fields), named or provider

    async def record(self, status: int, problem: str = "") -> None:
        """Put the span down, once."""
        if self.ended:
            return
        self.ended = True
        kind = self.path.partition("/")[0]
        billed = kind in _BILLED and status < 400
        where, attribution = self.trace, self.attribution
        span = Span(
            trace_id=where.trace_id,
            span_id=self.span_id,
            parent_id=where.parent_id or "",
            remote_parent=where.remote,
            name=f"{self.request.method} {self.path.partition('?')[0]} {self.provider}".rstrip(),
            kind="llm" if kind in _BILLED else "http",
            start_us=self.started_us,
            end_us=self.started_us + int((time.perf_counter() - self._begun) * 1e6),
            status="error" if problem or status >= 400 else "ok",
            status_message=problem or (f"{self.provider} answered {status}." if status >= 400 else ""),
            provider=self.pricing,
            model=self.model,
            unpriced=_UNKNOWN_COST if billed else "",
            billable=billed,
            session_id=attribution.session,
            user_id=attribution.user,
            feature=attribution.feature,
            endpoint=attribution.endpoint,
            key_id=self.ctx.principal.key_id,
            tags=list(attribution.tags),
            attributes={"http.request.method": self.request.method, "http.response.status_code": status},
            dialect="gimbal",
        )
        await recorded(self.ctx, [span])


async def _streamed(passing: _Passing, response: Response) -> AsyncIterator[bytes]:
    problem = "The caller went away before the end."
    try:
        async for chunk in response.chunks():
            yield chunk
        problem = ""
    except GimbalError as error:
        problem = str(error)
        raise
    finally:
        await response.aclose()
        await passing.record(response.status, problem)


async def pass_through(ctx: Context, request: HttpRequest) -> HttpReply:
    """Hand a request on as it is, and the answer back as it comes."""
    passing = _Passing(ctx, request)
    try:
        response = await passing.send()
    except GimbalError as problem:
        await passing.record(problem.status, str(problem))
        raise
    kept = {name.decode("latin-1"): value.decode("latin-1") for name, value in shown(response.headers)}
    headers = {**kept, "x-gimbal-trace-id": passing.trace.trace_id, "x-gimbal-provider": passing.provider}
    media_type = response.header(b"content-type").decode("latin-1") or "application/octet-stream"
    return HttpReply(status=response.status, body=_streamed(passing, response), media_type=media_type, headers=headers)


for _path in ("files", "uploads", "batches", "images", "audio", "moderations"):
    for _method in ("GET", "POST", "DELETE"):
        for _template in (f"/v1/{_path}", f"/v1/{_path}/{{rest*}}"):
            dialect(
                _method, _template, dialect="openai", allow=Permission.DEVELOP, large=True, on_error=WIRE.error_reply
            )(pass_through)
