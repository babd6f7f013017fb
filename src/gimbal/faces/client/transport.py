"""The HTTP client under the SDK: address, key, project, retries, and the server's errors raised as what they are."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from gimbal.kernel.errors import ErrorReply, GimbalError, Unavailable, error_kinds
from gimbal.kernel.operations import PREFIX
from gimbal.kernel.refs import Ref

T = TypeVar("T")
DEFAULT_URL = "http://127.0.0.1:8765"
RawBody = bytes | Path | Iterable[bytes]
_encoder = msgspec.json.Encoder(enc_hook=str, decimal_format="string")
# Statuses that the server gives before it has stored anything: safe to send again, whatever the method.
_AGAIN = frozenset({429, 503})


class Transport:
    """One connection pool to one Gimbal.

    `url`, `key` and `project` default to GIMBAL_URL, GIMBAL_API_KEY and GIMBAL_PROJECT, then to the local server, no
    key and `default`. `patience` is how many seconds it keeps trying while the server is busy or starting.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        project: str | None = None,
        *,
        timeout: float = 60.0,
        patience: float = 30.0,
    ) -> None:
        self.url = (url or os.environ.get("GIMBAL_URL") or DEFAULT_URL).rstrip("/")
        self.key = key or os.environ.get("GIMBAL_API_KEY") or ""
        self.project = project or os.environ.get("GIMBAL_PROJECT") or "default"
        self._patience = patience
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=timeout)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def call(
        self,
        method: str,
        template: str,
        returns: type[T],
        *,
        path: Mapping[str, Any],
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        raw: RawBody | None = None,
    ) -> T:
        """Call one operation and return its decoded result; raise the GimbalError that the server answered with."""
        content = None if body is None else _encoder.encode({k: v for k, v in body.items() if v is not msgspec.UNSET})
        response = self._send(method, self._address(template, path), query=query, content=content, raw=raw)
        if returns is type(None):
            return returns()
        return msgspec.json.decode(response.content, type=returns, dec_hook=_decode_ref)

    def download(
        self, template: str, *, path: Mapping[str, Any], query: Mapping[str, Any] | None = None
    ) -> Iterator[bytes]:
        """Yield the chunks of a raw result."""
        address = self._address(template, path)
        with self._http.stream("GET", address, params=_query(query)) as response:
            if response.is_error:
                response.read()
                raise to_error(response)
            yield from response.iter_bytes()

    def dialect(
        self, method: str, path: str, payload: Any, *, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Call a route of a foreign dialect with JSON and return its JSON."""
        content = None if payload is None else _encoder.encode(payload)
        more = {"x-gimbal-project": self.project, **(headers or {})}
        return msgspec.json.decode(self._send(method, path, content=content, headers=more).content)

    def _address(self, template: str, path: Mapping[str, Any]) -> str:
        address = template
        for name, value in path.items():
            text = self.project if name == "project" and value is None else str(value)
            address = address.replace("{" + name + "}", quote(text, safe=""))
        return PREFIX + address

    def _send(
        self,
        method: str,
        address: str,
        *,
        query: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        raw: RawBody | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        deadline = time.monotonic() + self._patience
        pause = 0.1
        media_type = "application/octet-stream" if raw is not None else "application/json"
        while True:
            sent = content if raw is None else _content(raw)
            try:
                response = self._http.request(
                    method,
                    address,
                    params=_query(query),
                    content=sent,
                    headers={"content-type": media_type, **(headers or {})},
                )
            except httpx.ConnectError:
                raise Unavailable(
                    f"Gimbal does not answer at {self.url}.",
                    todo="Start it with `gimbal up`, or set GIMBAL_URL to where it runs.",
                ) from None
            replayable = raw is None or isinstance(raw, bytes | Path)
            if response.status_code not in _AGAIN or not replayable or time.monotonic() > deadline:
                if response.is_error:
                    raise to_error(response)
                return response
            time.sleep(min(float(response.headers.get("retry-after", pause)), max(0.0, deadline - time.monotonic())))
            pause = min(pause * 2, 5.0)


def _content(raw: RawBody) -> bytes | Iterable[bytes]:
    if isinstance(raw, Path):
        return _chunks(raw)
    return raw


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk


def _query(query: Mapping[str, Any] | None) -> httpx.QueryParams:
    pairs: list[tuple[str, str | int | float | bool | None]] = []
    for name, value in (query or {}).items():
        if value is None or value is msgspec.UNSET:
            continue
        values = value if isinstance(value, list) else [value]
        pairs += [(name, _text(item)) for item in values]
    return httpx.QueryParams(pairs)


def _text(value: Any) -> str:
    return msgspec.to_builtins(value) if not isinstance(value, bool | int | float | Ref) else str(value).lower()


def _decode_ref(kind: type, value: Any) -> Any:
    if kind is Ref and isinstance(value, str):
        return Ref.parse(value)
    message = f"cannot read a {kind}"
    raise NotImplementedError(message)


def to_error(response: httpx.Response) -> GimbalError:
    """Return the error that an answer holds, as the class that the server raised."""
    try:
        body = msgspec.json.decode(response.content, type=ErrorReply).error
    except msgspec.DecodeError:
        text = response.text[:200]
        return GimbalError(f"{response.request.url} answered {response.status_code}: {text}", todo="See the log.")
    kind = error_kinds().get(body.code, GimbalError)
    after = response.headers.get("retry-after")
    return kind(
        body.message, where=body.where, kept=body.kept, todo=body.todo, retry_after=float(after) if after else None
    )
