"""The `Target` of evaluations for HTTP services: an example becomes a request, the answer an output, the call a trace.

The service gets W3C Trace Context, so that spans of its own join the trace. No redirect is followed: it would lead where
nobody has looked. Of an answer so much is read and no more. Calls go straight to the address that was checked, not through
a proxy, which would look the name up again.
"""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import msgspec

from gimbal.axis.assets.model import Version
from gimbal.axis.evals.http.filling import body_of, target_of, text_of
from gimbal.axis.evals.http.model import BREAKS, HttpManifest, decode_manifest, parts_of
from gimbal.axis.evals.http.reach import addresses, check, secrets_of
from gimbal.axis.evals.http.reading import output_of
from gimbal.axis.evals.model import Example
from gimbal.axis.evals.target import Foreseen, TargetOutput
from gimbal.axis.traces.model import Span
from gimbal.axis.traces.service import Traces
from gimbal.engines.http.tls import trust
from gimbal.kernel.clock import to_us
from gimbal.kernel.context import Context
from gimbal.kernel.errors import BadInput, DeadlineExceeded, GimbalError, Unavailable, Upstream
from gimbal.kernel.ids import format_traceparent, new_span_id, new_trace_id
from gimbal.kernel.settings import MIB

MOST_BYTES = 8 * MIB
"""Of an answer."""
_SHOWN = 200
_LONGEST_S = 3600.0
"""Past what a service may say itself: that is what ends a call."""
_USUAL = {"user-agent": "gimbal", "accept": "*/*"}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LATER = frozenset({429, 503})
"""Statuses that may tell when to come again (RFC 9110, section 10.2.3; RFC 6585, section 4)."""
_SECONDS = re.compile(r"\d{1,9}")
_GOOD = range(200, 300)
_NO_CONTENT = 204
_REDIRECTS = range(300, 400)


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent."""

    method: str
    scheme: str
    host: str
    port: int
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    hidden: list[str]
    """What must not be shown, should the service repeat it."""


class HttpTarget:
    """Puts examples through versions of HTTP services."""

    async def foresee(self, ctx: Context, version: Version, examples: Sequence[Example]) -> Foreseen:
        """Tell what a call costs by the service's own word; raise Forbidden where it may not be called.

        Answers are not kept for later runs: what stands behind an address may change, and no version says so.
        """
        manifest = decode_manifest(version.manifest)
        await check(ctx, manifest)
        price = manifest.price
        return Foreseen(cost=price, most=price, unpriced="" if price is not None else "the service has no `price`")

    async def __call__(self, ctx: Context, version: Version, example: Example) -> TargetOutput:
        """Ask the service one example; what goes wrong is in the output, because a failed call is missing, not wrong."""
        span = _Span(ctx, version, example)
        output = TargetOutput(error="The call was cut off before an answer came.")
        try:
            output = await _asked(ctx, decode_manifest(version.manifest), example, span)
        except GimbalError as problem:
            late = isinstance(problem, DeadlineExceeded)
            output = TargetOutput(
                error=str(problem), failure="timed_out" if late else "error", retry_after_s=problem.retry_after
            )
        finally:
            await span.record(output)
        return msgspec.structs.replace(output, trace_id=span.trace_id, latency_ms=span.latency_ms)


HTTP_SERVICES = HttpTarget()


async def _asked(ctx: Context, manifest: HttpManifest, example: Example, span: "_Span") -> TargetOutput:
    request = _request(ctx, manifest, example.input, span)
    try:
        async with asyncio.timeout(manifest.timeout_s):
            body = await _sent(ctx, request)
    except TimeoutError:
        raise DeadlineExceeded(
            f"{request.host} gave no whole answer within {manifest.timeout_s:g} s.", where="timeout_s"
        ) from None
    try:
        found = output_of(manifest.answer, body)
    except Upstream as problem:
        # It came, so it is paid for.
        return TargetOutput(error=str(problem), cost=manifest.price)
    return msgspec.structs.replace(found, cost=manifest.price if found.cost is None else found.cost)


def _request(ctx: Context, manifest: HttpManifest, given: Mapping[str, Any], span: "_Span") -> _Request:
    """Return the request of an example; raise BadInput where it does not fit, Forbidden or NotReady for its credentials."""
    parts = parts_of(manifest.url)
    secrets, hidden = secrets_of(ctx, manifest)
    try:
        target = target_of(f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}", given)
        # Blanks around a value are no part of it (RFC 9110, section 5.5), and must not be sent.
        plain = {name: text_of(value, given).strip(" \t") for name, value in manifest.headers.items()}
        body = b"" if manifest.method == "GET" else body_of(manifest.body, manifest.media_type, given)
        for value in (plain | secrets).values():
            value.encode()
    except UnicodeEncodeError as problem:
        raise BadInput(f"The example has text that is no Unicode: {problem.reason}.", where="input") from None
    for name, value in (plain | secrets).items():
        if BREAKS.search(value):
            example = "Put the value into the body, or change the example."
            raise BadInput(
                f"The header {name} would have a line break in it.",
                where=f"{'secrets' if name in secrets else 'headers'}.{name}",
                kept="nothing was sent",
                todo="Mend the variable." if name in secrets else example,
            )
    fixed = {"accept-encoding": "identity", "traceparent": span.traceparent}
    if body:
        fixed["content-type"] = manifest.media_type
    return _Request(
        method=manifest.method,
        scheme=parts.scheme,
        host=parts.hostname or "",
        port=parts.port or _DEFAULT_PORTS[parts.scheme],
        target=target,
        headers=[*plain.items(), *secrets.items(), *fixed.items()],
        body=body,
        hidden=hidden,
    )


async def _sent(ctx: Context, request: _Request) -> bytes:
    """Return the body of a good answer; raise Upstream for another, Unavailable where nobody can be reached."""
    context = await asyncio.to_thread(trust) if request.scheme == "https" else False
    problem: httpx.HTTPError | None = None
    async with httpx.AsyncClient(verify=context, trust_env=False, timeout=_LONGEST_S, headers=_USUAL) as client:
        for address in await addresses(ctx, request.host, request.port):
            try:
                return await _exchanged(client, request, address)
            except (httpx.ConnectError, httpx.ConnectTimeout) as failure:
                problem = failure
            except (httpx.HTTPError, httpx.InvalidURL) as failure:
                said = _without(request.hidden, (str(failure) or type(failure).__name__).encode()).decode()
                raise Upstream(f"The answer of {request.host} broke off: {said}.", where="url") from None
    raise Unavailable(
        f"{request.host} cannot be reached: {problem or 'it has no address'}.",
        where="url",
        todo="Look at the address, and whether it can be reached from here.",
    )


async def _exchanged(client: httpx.AsyncClient, request: _Request, address: str) -> bytes:
    host = f"[{request.host}]" if ":" in request.host else request.host
    usual = request.port == _DEFAULT_PORTS[request.scheme]
    asked = client.build_request(
        request.method,
        # The address that was checked is the one that is called; the name goes along for TLS and the server.
        httpx.URL(scheme=request.scheme, host=address, port=request.port, raw_path=request.target.encode()),
        headers=[
            (b"host", (host if usual else f"{host}:{request.port}").encode("idna" if not host.isascii() else "ascii")),
            *((name.encode(), value.encode()) for name, value in request.headers),
        ],
        content=request.body or None,
        extensions={"sni_hostname": request.host},
    )
    reply = await client.send(asked, stream=True)
    try:
        body = await _read(reply, request)
    finally:
        await reply.aclose()
    if reply.status_code in _GOOD and reply.status_code != _NO_CONTENT:
        return body
    raise _refused(reply, body, request.host)


async def _read(reply: httpx.Response, request: _Request) -> bytes:
    if reply.headers.get("content-encoding", "identity").lower() != "identity":
        raise Upstream(
            f"The answer of {request.host} is packed, which it was not asked to be.", where="content-encoding"
        )
    raw = bytearray()
    async for chunk in reply.aiter_raw():
        raw += chunk
        if len(raw) > MOST_BYTES:
            raise Upstream(f"The answer of {request.host} has more than {MOST_BYTES} bytes, the most that is read.")
    return _without(request.hidden, bytes(raw))


def _without(hidden: Sequence[str], said: bytes) -> bytes:
    """Return what somebody said with stars for what must not be shown; of two that begin alike the longer one first."""
    for secret in sorted(hidden, key=len, reverse=True):
        said = said.replace(secret.encode(), b"***")
    return said


def _refused(reply: httpx.Response, body: bytes, host: str) -> GimbalError:
    status = reply.status_code
    if status in _REDIRECTS:
        return Upstream(f"{host} answered {status}, a redirect, which is not followed.", where="url")
    said = " ".join(body[: 4 * _SHOWN].decode("utf-8", "replace").split())[:_SHOWN]
    later = _retry_after(reply.headers.get("retry-after", ""), reply.headers.get("date", ""))
    return Upstream(
        f"{host} answered {status}{f': {said}' if said else ''}.",
        where="url",
        retry_after=later if status in _LATER else None,
    )


def _retry_after(text: str, said: str) -> float | None:
    """Return the seconds that a Retry-After asks for: a number, or a date that is read by the server's own clock."""
    if _SECONDS.fullmatch(text.strip()):
        return float(text)
    until = _date(text)
    return None if until is None else max((until - (_date(said) or datetime.now(UTC))).total_seconds(), 0.0)


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


class _Span:
    """The one span of a call."""

    def __init__(self, ctx: Context, version: Version, example: Example) -> None:
        self._ctx = ctx
        self._version = version
        self._example = example
        self._begun = ctx.now()
        self._clock = asyncio.get_running_loop().time()
        self.trace_id = new_trace_id()
        self._span_id = new_span_id()
        self.latency_ms: float | None = None

    @property
    def traceparent(self) -> str:
        """What the service is told of the trace (W3C Trace Context)."""
        return format_traceparent(self.trace_id, self._span_id)

    async def record(self, output: TargetOutput) -> None:
        """Store the span; what was sent is the example, so that no credential is in it."""
        taken = asyncio.get_running_loop().time() - self._clock
        self.latency_ms = taken * 1000
        begun = to_us(self._begun)
        span = Span(
            trace_id=self.trace_id,
            span_id=self._span_id,
            name=f"ask {self._version.asset}",
            kind="chain",
            start_us=begun,
            end_us=begun + int(taken * 1e6),
            status="error" if output.error else "ok",
            status_message=output.error,
            input=_json(self._example.input),
            output=_json(output.value if output.text is None else output.text) if not output.error else "",
            refs=[str(self._version.ref)],
            feature="evaluation",
            dialect="gimbal",
        )
        ctx = self._ctx.within(self._ctx.project or "default")
        await ctx.get(Traces).record(ctx, [span])
        await ctx.settle()


def _json(value: Any) -> str:
    try:
        return msgspec.json.encode(value, enc_hook=str).decode()
    except UnicodeEncodeError:
        return json.dumps(value, default=str)  # halves of characters are written as escapes
