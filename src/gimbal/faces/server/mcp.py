"""Operations as MCP tools over streamable HTTP at `/mcp`: stateless, one JSON answer per request.

Speaks 2026-07-28 (no handshake: version and capabilities ride on each request, `server/discover`) and the handshake
revisions 2025-03-26 to 2025-11-25 (`initialize`). The tool list is in a fixed order, so that prompt caches hold.
Source: modelcontextprotocol.io, specification revisions of those dates.
"""

import base64
import binascii
from importlib.metadata import version
from typing import Any

import msgspec

from gimbal.faces.server import arguments, openapi
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, GimbalError
from gimbal.kernel.http import HttpReply, HttpRequest, dialect
from gimbal.kernel.operations import Operation, invoke, operations

MODERN = "2026-07-28"
HANDSHAKE = ("2025-11-25", "2025-06-18", "2025-03-26")
SUPPORTED = (MODERN, *HANDSHAKE)
_PARSE_ERROR, _INVALID_REQUEST, _NO_METHOD, _INVALID_PARAMS = -32700, -32600, -32601, -32602
_HEADER_MISMATCH, _UNSUPPORTED = -32020, -32022
_VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
_SERVER_KEY = "io.modelcontextprotocol/serverInfo"
_encoder = msgspec.json.Encoder(enc_hook=str, decimal_format="string")
INSTRUCTIONS = (
    "Gimbal operates predictive models and LLM applications. Assets are named like model:flights/delay@production. "
    "Most tools take `project`; use 'default' when none was named."
)


class RpcError(Exception):
    """A JSON-RPC error answer."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


def tool_name(op: Operation) -> str:
    """Return the tool that an operation becomes: `runs.list` is `runs_list`."""
    return op.name.replace(".", "_").replace("-", "_")


def tools() -> dict[str, Operation]:
    """Return the operations that are tools, by tool name."""
    return {tool_name(op): op for op in operations() if not op.streams and "mcp" not in op.absent}


_listed: list[dict[str, Any]] = []


def tool_list() -> list[dict[str, Any]]:
    """Return what `tools/list` shows; made once, for the table does not change while a process runs."""
    if not _listed:
        _listed.extend(
            {
                "name": name,
                "title": op.summary.rstrip("."),
                "description": "\n\n".join(filter(None, [op.summary, op.description])),
                "inputSchema": openapi.tool_schema(op),
                "annotations": {"readOnlyHint": op.method == "GET", "destructiveHint": op.method == "DELETE"},
            }
            for name, op in tools().items()
        )
    return _listed


def _server_info() -> dict[str, str]:
    return {"name": "gimbal", "title": "Gimbal", "version": version("gimbal-ops")}


@dialect("POST", "/mcp", dialect="mcp", allow=Permission.VIEW)
async def mcp(ctx: Context, request: HttpRequest) -> HttpReply:
    """Answer one JSON-RPC message; a notification gets 202 without a body."""
    try:
        message = msgspec.json.decode(await request.body.read())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _answer(None, error=RpcError(_PARSE_ERROR, "The body is not JSON."), status=400)
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0" or not isinstance(message.get("method"), str):
        return _answer(None, error=RpcError(_INVALID_REQUEST, "Not a JSON-RPC 2.0 request."), status=400)
    if "id" not in message:
        return HttpReply(status=202)
    id_, method, params = message["id"], message["method"], message.get("params") or {}
    if not isinstance(id_, str | int) or isinstance(id_, bool):
        return _answer(None, error=RpcError(_INVALID_REQUEST, "An id is a text or a whole number."), status=400)
    modern = False
    try:
        modern = _check_version(request, method, params)
        result = await _dispatch(ctx, method, params)
    except RpcError as error:
        # Before 2026-07-28 whatever is in the body was answered with 200; a bad version header never was.
        refused = error.code in {_UNSUPPORTED, _HEADER_MISMATCH}
        status = 404 if error.code == _NO_METHOD else 400
        return _answer(id_, error=error, status=status if modern or refused else 200)
    if modern:
        result = {"resultType": "complete", **result, "_meta": {_SERVER_KEY: _server_info()}}
    return _answer(id_, result=result)


def _check_version(request: HttpRequest, method: str, params: Any) -> bool:
    """Return whether the request speaks 2026-07-28; raise RpcError for params, version or headers that do not fit."""
    if not isinstance(params, dict):
        raise RpcError(_INVALID_PARAMS, "The params are not an object.")
    meta = params.get("_meta") or {}
    if not isinstance(meta, dict):
        raise RpcError(_INVALID_PARAMS, "The _meta is not an object.")
    inside, outside = meta.get(_VERSION_KEY), request.headers.get("mcp-protocol-version")
    asked = inside or outside
    if asked is None or (method == "initialize" and inside is None):
        return False  # the handshake negotiates, and clients of 2025-03-26 send no header
    if asked not in SUPPORTED:
        raise RpcError(
            _UNSUPPORTED,
            f"The protocol version {asked} is not spoken here.",
            {"supported": list(SUPPORTED), "requested": asked},
        )
    if inside is None or inside != MODERN:
        return asked == MODERN
    # What a proxy routes by must be what is carried out.
    mirrored: dict[str, Any] = {"mcp-protocol-version": inside, "mcp-method": method}
    if method == "tools/call":
        mirrored["mcp-name"] = params.get("name")
    for header, value in mirrored.items():
        if _header_text(request.headers.get(header, value)) != value:
            raise RpcError(_HEADER_MISMATCH, f"The header {header} says otherwise than the body.")
    return True


def _header_text(value: Any) -> Any:
    """Return a header's text out of `=?base64?…?=`, in which clients put what is not plain ASCII."""
    if isinstance(value, str) and value.startswith("=?base64?") and value.endswith("?="):
        try:
            return base64.b64decode(value[9:-2], validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
    return value


def _answer(id_: Any, *, result: Any = None, error: RpcError | None = None, status: int = 200) -> HttpReply:
    reply: dict[str, Any] = {"jsonrpc": "2.0", "id": id_}
    if error is not None:
        reply["error"] = {"code": error.code, "message": error.message, "data": error.data}
    else:
        reply["result"] = result
    return HttpReply(body=_encoder.encode(reply), status=status)


async def _dispatch(ctx: Context, method: str, params: dict[str, Any]) -> dict[str, Any]:
    capabilities = {"tools": {"listChanged": False}}
    if method == "initialize":
        offered = params.get("protocolVersion")
        chosen = offered if offered in HANDSHAKE else HANDSHAKE[0]
        info = {"serverInfo": _server_info(), "instructions": INSTRUCTIONS}
        return {"protocolVersion": chosen, "capabilities": capabilities, **info}
    if method == "server/discover":
        return {
            "supportedVersions": list(SUPPORTED),
            "capabilities": capabilities,
            "instructions": INSTRUCTIONS,
            "ttlMs": 3_600_000,
            "cacheScope": "public",
        }
    if method == "ping":
        return {}
    if method == "tools/list":
        return {"tools": tool_list(), "ttlMs": 3_600_000, "cacheScope": "public"}
    if method == "tools/call":
        return await _call(ctx, params)
    raise RpcError(_NO_METHOD, f"There is no method {method!r}.")


async def _call(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    op = tools().get(str(params.get("name")))
    if op is None:
        raise RpcError(_INVALID_PARAMS, f"There is no tool {params.get('name')!r}.")
    given = params.get("arguments") or {}
    try:
        if not isinstance(given, dict):
            raise BadInput("The arguments are not an object.", where="arguments")
        decoded = arguments.from_object(op, given)
        project = given.get("project")
        inner = ctx.within(project if isinstance(project, str) else None)
        inner.origin = "mcp"
        result = msgspec.to_builtins(await invoke(op, inner, decoded), enc_hook=str)
    except GimbalError as error:
        # A failed tool is a result that the model reads, not a protocol error.
        return {
            "content": [{"type": "text", "text": f"{error.code}: {error}"}],
            "structuredContent": {"error": msgspec.to_builtins(error.body())},
            "isError": True,
        }
    structured = result if isinstance(result, dict) else {"result": result}
    text = _encoder.encode(result).decode()
    return {"content": [{"type": "text", "text": text}], "structuredContent": structured, "isError": False}
