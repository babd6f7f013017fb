"""What providers over HTTP share: one pooled client, deadlines, and errors that carry the provider's own words.

Deadlines: `timeout_s` of the provider's settings is the longest silence, before the first byte and between bytes.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, cast

import httpx
import msgspec

from gimbal.axis.pricing.model import Usage
from gimbal.generative.gateway.call import Json
from gimbal.kernel.errors import (
    BadInput,
    Busy,
    ContradictoryUsage,
    DeadlineExceeded,
    GimbalError,
    NotFound,
    TooLarge,
    Unavailable,
    Unprocessable,
    Upstream,
)

CONNECT_TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 64 * 1024 * 1024
_LIST_TIMEOUT_S = 3.0

# What the caller can mend keeps its status; a key of ours that is refused, and everything else, is the provider's fault.
_KINDS: dict[int, type[GimbalError]] = {
    400: BadInput,
    404: NotFound,
    408: DeadlineExceeded,
    413: TooLarge,
    422: Unprocessable,
    429: Busy,
    503: Unavailable,
    504: DeadlineExceeded,
    529: Unavailable,
}


class HttpUpstream:
    """A pooled client for one provider."""

    def __init__(self, name: str, base_url: str, headers: Mapping[str, str], timeout_s: float) -> None:
        self.name = name
        self._timeout_s = timeout_s
        self._client = httpx.AsyncClient(
            base_url=base_url.rstrip("/") + "/",
            headers={"user-agent": "gimbal", **headers},
            timeout=httpx.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s)),
            limits=httpx.Limits(max_connections=1024, max_keepalive_connections=64, keepalive_expiry=30),
        )

    async def send(self, path: str, body: Json) -> httpx.Response:
        """Post JSON and return the response with its body unread; raise what a failure means to the caller."""
        request = self._client.build_request(
            "POST", path, content=msgspec.json.encode(body), headers={"content-type": "application/json"}
        )
        with self.faults():
            response = await self._client.send(request, stream=True)
            if response.is_success:
                return response
            try:
                raw = await _read(response, 65_536)
            finally:
                await response.aclose()
        raise self.refusal(response.status_code, raw, response.headers)

    async def get(self, path: str, timeout_s: float) -> Any:
        """Return the JSON at `path`; raise a GimbalError when it cannot be had within `timeout_s`."""
        with self.faults():
            response = await self._client.get(path, timeout=timeout_s)
        if not response.is_success:
            raise self.refusal(response.status_code, response.content, response.headers)
        return self.json(response.content)

    async def read(self, response: httpx.Response) -> Json:
        """Return the JSON object of a whole answer."""
        with self.faults():
            raw = await _read(response, MAX_ANSWER_BYTES + 1)
        if len(raw) > MAX_ANSWER_BYTES:
            raise Upstream(f"{self.name} answered with more than {MAX_ANSWER_BYTES} bytes.", todo="Ask for less.")
        return self.json(raw)

    async def chunks(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """Yield the bytes of a streamed answer as they come."""
        with self.faults():
            async for chunk in response.aiter_bytes():
                yield chunk

    def json(self, raw: bytes) -> Json:
        """Decode an object that the provider sent; raise Upstream when it is not one."""
        try:
            value = msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            value = None
        if not isinstance(value, dict):
            shown = raw[:120].decode("utf-8", "replace")
            raise Upstream(
                f"{self.name} sent something that is not a JSON object: {shown!r}.",
                todo="Check that base_url names an API of this kind, version part included.",
            )
        return cast("Json", value)

    @contextlib.contextmanager
    def faults(self) -> Any:
        """Turn faults of the connection into our errors."""
        try:
            yield
        except httpx.TimeoutException as problem:
            when = "to be reached" if isinstance(problem, httpx.ConnectTimeout) else "without sending a byte"
            raise DeadlineExceeded(
                f"{self.name} took longer than its limit {when} ({self._timeout_s:g} s).",
                todo="Try again, or raise the provider's timeout_s.",
            ) from None
        except httpx.ConnectError as problem:
            raise Unavailable(
                f"{self.name} cannot be reached: {problem}.",
                todo="Check its base_url and that it runs.",
                retry_after=1.0,
            ) from None
        except httpx.HTTPError as problem:
            raise Upstream(
                f"The connection to {self.name} broke: {problem or type(problem).__name__}.", todo="Try again."
            ) from None

    def refusal(self, status: int, raw: bytes, headers: Mapping[str, str]) -> GimbalError:
        """Return the error that an answer with an error status means, in the provider's words."""
        message, param = said(raw)
        text = f"{self.name} answered {status}: {message or 'no message'}"
        kind = _KINDS.get(status, Upstream)
        todo = {
            401: f"Check the key of the provider {self.name}.",
            403: f"Check what the key of the provider {self.name} may do.",
            429: "Slow down, or come again later.",
        }.get(status, "")
        where = param or ("model" if status == 404 else "")
        return kind(
            text, where=where, todo=todo, retry_after=retry_after(headers) if status in {429, 503, 529} else None
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class HttpProvider:
    """What every provider over HTTP has alike; a wire adds `open`, and says what its headers are."""

    def __init__(
        self, name: str, base_url: str, *, key: str = "", models: tuple[str, ...] = (), timeout_s: float = 120.0
    ) -> None:
        self.name = name
        self.pricing = name
        self._models = models
        self._http = HttpUpstream(name, base_url, self.headers(key), timeout_s)

    @staticmethod
    def headers(key: str) -> dict[str, str]:
        """Return the headers of every request; the key may be empty."""
        return {"authorization": f"Bearer {key}"} if key else {}

    async def models(self) -> list[str]:
        """Return the configured models, else what `GET /models` says now."""
        if self._models:
            return list(self._models)
        try:
            listed = (await self._http.get("models", _LIST_TIMEOUT_S)).get("data") or []
        except GimbalError:
            return []
        rows = cast("list[Any]", listed if isinstance(listed, list) else [])
        return [str(row["id"]) for row in rows if isinstance(row, dict) and row.get("id")]

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


async def _read(response: httpx.Response, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for chunk in response.aiter_bytes():
        parts.append(chunk)
        size += len(chunk)
        if size >= limit:
            break
    return b"".join(parts)[:limit]


def said(raw: bytes) -> tuple[str, str]:
    """Return the message and the parameter of an error body: `{"error": {...}}`, `{"error": "…"}`, or plain text."""
    try:
        value: Any = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return raw[:500].decode("utf-8", "replace").strip(), ""
    error: Any = cast("Json", value).get("error", value) if isinstance(value, dict) else value
    if isinstance(error, dict):
        fields = cast("Json", error)
        message = fields.get("message") or fields.get("detail") or ""
        return str(message)[:2000], str(fields.get("param") or "")
    return str(error)[:2000], ""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a `retry-after` (or `retry-after-ms`) header asks for; None when there is none."""
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / scale
        except ValueError:  # absent, or the date form, which no LLM provider is known to send
            continue
        if 0 <= seconds < 86_400 * 7:
            return seconds
    return None


def count(value: Any) -> int:
    """Return a token count that a provider sent; what is not a number from 0 up counts as absent, hence 0."""
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e15 else 0


def usage_by(
    read: Callable[..., Usage | None], as_far: Callable[[Any], Usage], usage: Any, **more: Any
) -> Usage | None:
    """Return a provider's usage; a contradiction in it leaves the call without a cost, not without an answer."""
    try:
        return read(usage, **more)
    except ContradictoryUsage:
        return msgspec.structs.replace(as_far(usage), contradictory=True)
