"""Operations as MCP tools over streamable HTTP at `/mcp`: stateless, one JSON answer per request.

Speaks 2026-07-28 (no handshake: version and capabilities ride on each request, `server/discover`) and the handshake
revisions 2025-03-26 to 2025-11-25 (`initialize`). The tool list is in a fixed order, so that prompt caches hold.
Source: modelcontextprotocol.io, specification revisions of those dates.
"""

from importlib.metadata import version
from typing import Any

import msgspec

from gimbal.faces.server import arguments, openapi
from gimbal.kernel.context import Context, Permission
from gimbal.kernel.errors import BadInput, GimbalError, NotFound
from gimbal.kernel.http import HttpReply, HttpRequest, dialect
from gimbal.kernel.operations import Operation, invoke, operations

MODERN = "2026-07-28"
HANDSHAKE = ("2025-11-25", "2025-06-18", "2025-03-26")
_PARSE_ERROR, _INVALID_REQUEST, _NO_METHOD, _INVALID_PARAMS, _UNSUPPORTED = -32700, -32600, -32601, -32602, -32022
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
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _answer(None, error=RpcError(_PARSE_ERROR, "The body is not JSON."), status=400)
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0" or not isinstance(message.get("method"), str):
        return _answer(None, error=RpcError(_INVALID_REQUEST, "Not a JSON-RPC 2.0 request."), status=400)
    if "id" not in message:
        return HttpReply(status=202)
    params = message.get("params") or {}
    modern = _is_modern(request, params)
    try:
        result = await _dispatch(ctx, message["method"], params)
    except RpcError as error:
        return _answer(message["id"], error=error, status=404 if modern and error.code == _NO_METHOD else 200)
    except GimbalError as error:
        return _answer(message["id"], error=RpcError(_INVALID_PARAMS, str(error)))
    if modern:
        result = {"resultType": "complete", **result, "_meta": {_SERVER_KEY: _server_info()}}
    return _answer(message["id"], result=result)


def _is_modern(request: HttpRequest, params: Any) -> bool:
    meta: dict[str, Any] = (params.get("_meta") or {}) if isinstance(params, dict) else {}
    return MODERN in {meta.get(_VERSION_KEY), request.headers.get("mcp-protocol-version")}


def _answer(id_: Any, *, result: Any = None, error: RpcError | None = None, status: int = 200) -> HttpReply:
    reply: dict[str, Any] = {"jsonrpc": "2.0", "id": id_}
    if error is not None:
        reply["error"] = {"code": error.code, "message": error.message, "data": error.data}
    else:
        reply["result"] = result
    return HttpReply(body=_encoder.encode(reply), status=status)


async def _dispatch(ctx: Context, method: str, params: Any) -> dict[str, Any]:
    if not isinstance(params, dict):
        raise RpcError(_INVALID_PARAMS, "The params are not an object.")
    asked = (params.get("_meta") or {}).get(_VERSION_KEY)
    if asked not in {None, MODERN, *HANDSHAKE}:
        supported = [MODERN, *HANDSHAKE]
        raise RpcError(_UNSUPPORTED, f"The protocol version {asked} is not spoken here.", {"supported": supported})
    capabilities = {"tools": {"listChanged": False}}
    if method == "initialize":
        offered = params.get("protocolVersion")
        chosen = offered if offered in HANDSHAKE else HANDSHAKE[0]
        info = {"serverInfo": _server_info(), "instructions": INSTRUCTIONS}
        return {"protocolVersion": chosen, "capabilities": capabilities, **info}
    if method == "server/discover":
        return {
            "supportedVersions": [MODERN, *HANDSHAKE],
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
        inner = ctx.within(project) if isinstance(project, str) else ctx
        inner.project = project if isinstance(project, str) else None
        inner.origin = "mcp"
        result = msgspec.to_builtins(await invoke(op, inner, decoded), enc_hook=str)
    except GimbalError as error:
        # A failed tool is a result that the model reads, not a protocol error.
        return {"content": [{"type": "text", "text": str(error)}], "isError": True}
    structured = result if isinstance(result, dict) else {"result": result}
    text = _encoder.encode(result).decode()
    return {"content": [{"type": "text", "text": text}], "structuredContent": structured, "isError": False}


@dialect("GET", "/mcp", dialect="mcp", allow=Permission.VIEW)
async def no_stream(ctx: Context, request: HttpRequest) -> HttpReply:
    """Say that there is no server-initiated stream, as the specification allows."""
    return HttpReply(status=405, headers={"allow": "POST"}, body=NotFound("There is no event stream here.").as_json())
