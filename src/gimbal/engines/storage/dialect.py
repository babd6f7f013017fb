"""The embedded columns for our other processes: ClickHouse's HTTP dialect on loopback, with a process token.

The worker and model processes use an unmodified `clickhouse-connect` against it, exactly as against a cluster. It
carries queries with parameters and settings in Native, Arrow and text formats, and inserts whose statement is the
first line of the body. Source: ClickHouse documentation, HTTP interface.
"""

import asyncio
import contextlib
import hmac
import re
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from gimbal.engines.storage.columns import DATABASE
from gimbal.engines.storage.embedded import connected

Message = MutableMapping[str, Any]
_HANDLES = 4
_FORMAT = re.compile(r"\sFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_INSERT = re.compile(rb"^\s*INSERT\s+INTO\s.*?\sFORMAT\s+\w+[ \t]*\n", re.IGNORECASE | re.DOTALL)
_CODE = re.compile(r"Code: (\d+)")
# Parameters of the HTTP interface itself; every other one is a setting of the query.
_TRANSPORT = frozenset(
    {
        "query", "database", "default_format", "session_id", "session_timeout", "session_check", "query_id", "quota_key",
        "compress", "decompress", "wait_end_of_query", "buffer_size", "role", "client_protocol_version", "user",
        "password", "enable_http_compression", "send_progress_in_http_headers", "http_headers_progress_interval_ms",
        "http_zlib_compression_level", "cancel_http_readonly_queries_on_client_close",
    }
)  # fmt: skip


class ColumnsEndpoint:
    """A plain ASGI application over the engine that this process has open at `folder`."""

    def __init__(self, folder: Path, token: str) -> None:
        self._token = token
        self._pool = ThreadPoolExecutor(_HANDLES, "columns-dialect")
        self._handles: asyncio.Queue[Any] = asyncio.Queue()
        self._folder = folder
        for _ in range(_HANDLES):
            handle = connected(self._folder)
            handle.query(f"USE {DATABASE}")
            self._handles.put_nowait(handle)

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        query = parse_qsl(scope["query_string"].decode(), keep_blank_values=True)
        body = b"".join([chunk async for chunk in _body(receive)])
        if scope["path"].rstrip("/") == "/ping":
            await _send(send, 200, b"Ok.\n")
        elif not self._admitted(headers, dict(query)):
            await _send(send, 401, b"Code: 516. DB::Exception: this is for Gimbal's own processes", code="516")
        else:
            if headers.get("content-type", "").startswith("multipart/form-data"):
                # The client's way with parameters that are too long for an address.
                query, body = [*query, *_fields(headers["content-type"], body)], b""
            await self._answer(query, headers, body, send)

    def _admitted(self, headers: dict[str, str], query: dict[str, str]) -> bool:
        import base64

        given = headers.get("x-clickhouse-key") or query.get("password", "")
        scheme, _, value = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            with contextlib.suppress(ValueError):
                given = base64.b64decode(value).decode().partition(":")[2]
        return hmac.compare_digest(given.encode(), self._token.encode())

    async def _answer(
        self,
        query: list[tuple[str, str]],
        headers: dict[str, str],
        body: bytes,
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        parameters = {k[6:]: v for k, v in query if k.startswith("param_")}
        settings = {k: v for k, v in query if k not in _TRANSPORT and not k.startswith("param_")}
        text = "".join(v for k, v in query if k == "query")
        default = dict(query).get("default_format") or headers.get("x-clickhouse-format") or "TabSeparated"
        handle = await self._handles.get()
        # A session that was made read-only stays so: such a statement has one of its own.
        once = connected(self._folder) if "readonly" in settings else None
        try:
            run = asyncio.get_running_loop().run_in_executor(
                self._pool, _execute, once or handle, text, body, parameters, settings, default
            )
            result = await run
        except RuntimeError as problem:
            message = str(problem)
            found = _CODE.search(message)
            await _send(send, 500, message.encode(), code=found[1] if found else "1000")
        else:
            await _send(send, 200, result[0], format_=result[1])
        finally:
            if once is not None:
                once.close()
            self._handles.put_nowait(handle)

    async def close(self) -> None:
        """Close the handles once they are idle."""
        for _ in range(_HANDLES):
            handle = await self._handles.get()
            handle.close()
        self._pool.shutdown()


def _execute(
    handle: Any, text: str, body: bytes, parameters: dict[str, str], settings: dict[str, str], default: str
) -> tuple[bytes, str]:
    """Run one statement on one handle; return the bytes and their format."""
    if text and body and not _INSERT.match(text.encode() + b"\n"):
        text, body = text + " " + body.decode(), b""
    if match := (_INSERT.match(text.encode() + b"\n" + body) if body or text else None):
        payload = (text.encode() + b"\n" + body if text else body)[match.end() :]
        return _insert(handle, match[0].decode().strip(), payload, settings), "TabSeparated"
    if not text:
        text = body.decode()
    found = _FORMAT.search(text)
    chosen = found[1] if found else default
    statement = text[: found.start()] if found else text
    changed = _apply(handle, settings)
    try:
        return handle.query(statement, chosen, params=parameters).bytes(), chosen
    finally:
        _restore(handle, changed)


def _insert(handle: Any, statement: str, payload: bytes, settings: dict[str, str]) -> bytes:
    found = _FORMAT.search(statement + "\n")
    if found is None:
        message = "Code: 62. the insert has no FORMAT"
        raise RuntimeError(message)
    # The engine reads rows in a binary format from a file only; /dev/shm keeps it in memory where there is one.
    folder = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
    with tempfile.NamedTemporaryFile(dir=folder, prefix="gimbal-") as file:
        file.write(payload)
        file.flush()
        head = statement[: found.start()]
        changed = _apply(handle, settings)
        try:
            handle.query(f"{head} FROM INFILE '{file.name}' COMPRESSION 'none' FORMAT {found[1]}")
        finally:
            _restore(handle, changed)
    return b""


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _apply(handle: Any, settings: dict[str, str]) -> list[str]:
    # Nothing can be set behind `readonly`.
    names = sorted((name for name in settings if _NAME.fullmatch(name)), key=lambda name: name == "readonly")
    for name in names:
        value = settings[name].replace("\\", "\\\\").replace("'", "\\'")
        handle.query(f"SET {name} = '{value}'")
    return names


def _restore(handle: Any, names: list[str]) -> None:
    for name in names if "readonly" not in names else ():
        handle.query(f"SET {name} = DEFAULT")


def _fields(content_type: str, body: bytes) -> list[tuple[str, str]]:
    """Return the fields of a form. Source: RFC 7578."""
    form = message_from_bytes(b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n" + body)
    found: list[tuple[str, str]] = []
    for part in form.walk():
        name = part.get_param("name", header="content-disposition")
        value = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(value, bytes):
            found.append((name, value.decode()))
    return found


async def _body(receive: Callable[[], Awaitable[Message]]) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        yield message.get("body", b"")
        if not message.get("more_body"):
            return


async def _send(
    send: Callable[[Message], Awaitable[None]], status: int, body: bytes, *, format_: str = "", code: str = ""
) -> None:
    headers = [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/octet-stream")]
    if format_:
        headers.append((b"x-clickhouse-format", format_.encode()))
    if code:
        headers.append((b"x-clickhouse-exception-code", code.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
