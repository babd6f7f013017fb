"""The HTTP client under the SDK: address, key, project, retries, and the server's errors raised as what they are."""

import mimetypes
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from gimbal.faces.client.answers import retry_after, stranger, to_error
from gimbal.faces.client.wire import jsonable
from gimbal.kernel.errors import ConfigurationError, DeadlineExceeded, GimbalError, Unavailable
from gimbal.kernel.operations import PREFIX
from gimbal.kernel.refs import Ref

T = TypeVar("T")
DEFAULT_URL = "http://127.0.0.1:8765"
CONNECT_S = 10.0
RawBody = bytes | Path | Iterable[bytes]
_encoder = msgspec.json.Encoder(enc_hook=jsonable, decimal_format="string")
# Statuses that the server gives before it has stored anything: safe to send again, whatever the method.
_AGAIN = frozenset({429, 503})
# Harmless twice, so that a connection that broke on the way is no reason to give up.
_REPEATABLE = frozenset({"GET", "PUT"})
_SHOWN = 200


class Transport:
    """One connection pool to one Gimbal.

    `url`, `key` and `project` default to GIMBAL_URL, GIMBAL_API_KEY and GIMBAL_PROJECT, then to the local server, no
    key and `default`. `timeout` is how many seconds one answer may take, `patience` how many seconds a request is
    tried again while the server says that it is busy or starting. Raise ConfigurationError for an address or a key
    that cannot be one.
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
        address = _address(url or os.environ.get("GIMBAL_URL") or DEFAULT_URL)
        self.url = str(address).rstrip("/")
        self.key = _key(key or os.environ.get("GIMBAL_API_KEY") or "")
        self.project = project or os.environ.get("GIMBAL_PROJECT") or "default"
        self.timeout = timeout
        self.patience = patience
        self.before_close: list[Callable[[], None]] = []
        # A proxy that the environment names for the outer world does not lead back to this machine.
        self._proxied = address.host not in {"127.0.0.1", "localhost", "::1"}
        self._http, self._pid = self._opened()

    def _opened(self) -> tuple[httpx.Client, int]:
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        limits = httpx.Timeout(self.timeout, connect=min(self.timeout, CONNECT_S))
        pool = httpx.Client(base_url=self.url, headers=headers, timeout=limits, trust_env=self._proxied)
        return pool, os.getpid()

    def _pool(self) -> httpx.Client:
        """Return the connections of this process: those of a parent must not be used by two."""
        if self._pid != os.getpid():
            self._http, self._pid = self._opened()
        return self._http

    def close(self) -> None:
        """Do what is to be done before, then close the connections."""
        for last in self.before_close:
            last()
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
        headers = {"content-type": _media_type(path)} if raw is not None else None
        response = self._send(
            method, self._address(template, path), query=query, content=content, raw=raw, headers=headers
        )
        if returns is type(None):
            return returns()
        try:
            return msgspec.json.decode(response.content, type=returns, dec_hook=_decode_ref)
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            raise stranger(response, str(problem)) from None

    def download(
        self, template: str, *, path: Mapping[str, Any], query: Mapping[str, Any] | None = None
    ) -> Iterator[bytes]:
        """Yield the chunks of a raw result; raise Unavailable when it breaks off."""
        address = self._address(template, path)
        try:
            with self._pool().stream("GET", address, params=_query(query)) as response:
                if not response.is_success:
                    response.read()
                    raise to_error(response)
                yield from response.iter_bytes()
        except httpx.RequestError as problem:
            raise self._unreached(problem, "GET") from None

    def dialect(
        self,
        method: str,
        path: str,
        payload: Any,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        raw: RawBody | None = None,
    ) -> dict[str, Any]:
        """Call a route of a foreign dialect with JSON, or with raw bytes or a file, and return its JSON."""
        content = None if payload is None else _encoder.encode(payload)
        more = {"x-gimbal-project": self.project, **(headers or {})}
        if raw is not None:
            more["content-type"] = "application/octet-stream"
        response = self._send(method, path, query=query, content=content, raw=raw, headers=more)
        try:
            return msgspec.json.decode(response.content, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError) as problem:
            raise stranger(response, str(problem)) from None

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
        deadline = time.monotonic() + self.patience
        pause = 0.1
        replayable = raw is None or isinstance(raw, bytes | Path)
        while True:
            try:
                response = self._pool().request(
                    method,
                    address,
                    params=_query(query),
                    content=content if raw is None else _content(raw),
                    headers={"content-type": "application/json", **(headers or {})},
                )
            except httpx.RequestError as problem:
                broke = isinstance(problem, httpx.NetworkError | httpx.RemoteProtocolError)
                refused = isinstance(problem, httpx.ConnectError)
                again = broke and not refused and replayable and method in _REPEATABLE
                if not again or time.monotonic() > deadline:
                    raise self._unreached(problem, method) from None
                wait = pause
            else:
                if response.is_success:
                    return response
                if response.status_code not in _AGAIN or not replayable or time.monotonic() > deadline:
                    raise to_error(response)
                wait = retry_after(response) or pause
            time.sleep(max(0.0, min(wait, deadline - time.monotonic())))
            pause = min(pause * 2, 5.0)

    def _unreached(self, problem: httpx.RequestError, method: str) -> GimbalError:
        """Return what to raise for a request that got no answer."""
        if isinstance(problem, httpx.ConnectError | httpx.ConnectTimeout):
            return Unavailable(
                f"Gimbal does not answer at {self.url}.",
                where=str(problem)[:_SHOWN],
                todo="Start it with `gimbal up`, or set GIMBAL_URL to where it runs.",
            )
        kept = "" if method == "GET" else "unknown: the server may have done it before the answer was lost"
        if isinstance(problem, httpx.TimeoutException):
            return DeadlineExceeded(
                f"Gimbal at {self.url} did not answer within {self.timeout:g} s.",
                kept=kept,
                todo="Look whether it was done before you repeat it, or give the client a longer timeout.",
            )
        why = str(problem)[:_SHOWN].rstrip(".") or type(problem).__name__
        return Unavailable(
            f"The connection to Gimbal at {self.url} broke: {why}.",
            kept=kept,
            todo="Look whether it was done before you repeat it.",
        )


def _address(text: str) -> httpx.URL:
    """Return the address of a server; raise ConfigurationError when the text is none."""
    try:
        url = httpx.URL(text.strip())
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in {"http", "https"} or not url.host:
        raise ConfigurationError(
            f"{text!r} is not the address of a server.",
            where="url, or GIMBAL_URL",
            todo="Write it like http://127.0.0.1:8765.",
        )
    return url


def _key(text: str) -> str:
    """Return an API key without the blanks that copying adds; raise ConfigurationError when it cannot be one."""
    key = text.strip()
    if not key.isascii() or any(not c.isprintable() or c == " " for c in key):
        raise ConfigurationError(
            "The API key has characters that no key has.",
            where="key, or GIMBAL_API_KEY",
            todo="Copy it again, or make one with `gimbal keys create`.",
        )
    return key


def _media_type(path: Mapping[str, Any]) -> str:
    """Return the media type of a raw body by the name of the file that it becomes."""
    return mimetypes.guess_type(str(path.get("path", "")))[0] or "application/octet-stream"


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
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float | Ref) else str(msgspec.to_builtins(value))


def _decode_ref(kind: type, value: Any) -> Any:
    if kind is Ref and isinstance(value, str):
        return Ref.parse(value)
    message = f"cannot read a {kind}"
    raise NotImplementedError(message)
