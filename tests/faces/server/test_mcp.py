"""The official MCP client over streamable HTTP, in both eras of the protocol; below it what the wire must say."""

import asyncio
import contextlib

import httpx2
import pytest
from jsonschema import Draft202012Validator
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from gimbal.faces.server import mcp
from gimbal.kernel.context import Role
from gimbal.kernel.operations import operations

MODERN, NEWEST_HANDSHAKE = "2026-07-28", "2025-11-25"
_VERSION = "io.modelcontextprotocol/protocolVersion"


@contextlib.asynccontextmanager
async def connected(served, mode: str = "auto", **headers: str):
    """Connect the official client, with headers of its own."""
    async with (
        asyncio.timeout(60),
        httpx2.AsyncClient(headers=headers) as http,
        Client(streamable_http_client(f"{served.url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


@pytest.mark.parametrize(("mode", "version"), [("legacy", NEWEST_HANDSHAKE), ("auto", MODERN), (MODERN, MODERN)])
async def test_the_official_client_connects_in_every_era(served, mode, version):
    async with connected(served, mode) as client:
        assert client.session.protocol_version == version
        tools = (await client.list_tools()).tools
        called = await client.call_tool("projects_list", {})

    assert len(tools) == len(mcp.tools())
    assert "default" in [p["slug"] for p in called.structured_content["result"]]


async def test_the_server_says_who_it_is(served):
    async with connected(served, "legacy") as client:
        assert client.server_info.name == "gimbal"
        assert client.server_capabilities.tools is not None
        assert client.server_capabilities.resources is None
        assert "model:flights/delay@production" in (client.instructions or "")


async def test_every_operation_that_is_offered_is_a_tool(served):
    """With its words, a valid schema, and a hint whether it reads, changes or removes."""
    async with connected(served) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}

    offered = [op for op in operations() if not op.streams and "mcp" not in op.absent]
    assert list(tools) == [mcp.tool_name(op) for op in offered]
    assert "runs_artifact_put" not in tools
    for op in offered:
        tool = tools[mcp.tool_name(op)]
        Draft202012Validator.check_schema(tool.input_schema)
        assert tool.description.startswith(op.summary)
        assert tool.annotations.read_only_hint is (op.method == "GET")
        assert tool.annotations.destructive_hint is (op.method == "DELETE")
        if "project" in {p.name for p in op.parameters}:
            assert "project" in tool.input_schema["required"]


async def test_a_tool_reads(served, client):
    made = client.post("/api/v1/projects/default/runs", json={"name": "seen", "experiment": "mcp-reads"}).json()
    async with connected(served) as session:
        listed = await session.call_tool("runs_list", {"project": "default", "experiment": "mcp-reads", "limit": 5})
        shown = await session.call_tool("runs_show", {"project": "default", "id": made["id"]})

    assert not listed.is_error
    assert [run["id"] for run in listed.structured_content["items"]] == [made["id"]]
    assert shown.structured_content["name"] == "seen"
    assert '"name":"seen"' in shown.content[0].text


async def test_a_tool_writes_and_the_audit_knows_its_face(served, client):
    async with connected(served) as session:
        made = await session.call_tool("projects_create", {"slug": "by-mcp", "title": "Made by a tool"})
        again = await session.call_tool("projects_create", {"slug": "by-mcp"})

    assert made.structured_content["title"] == "Made by a tool"
    assert client.get("/api/v1/projects/by-mcp").json()["title"] == "Made by a tool"
    assert again.is_error
    assert again.structured_content["error"]["code"] == "name_taken"
    records = client.get("/api/v1/projects/default/audit", params={"action": "projects.create", "everywhere": True})
    mine = [r for r in records.json()["items"] if r["origin"] == "mcp"]
    assert [(r["action"], r["outcome"]) for r in mine] == [("projects.create", "done")]


@pytest.mark.parametrize(
    ("name", "given", "code", "where"),
    [
        ("runs_show", {"project": "default", "id": "none"}, "not_found", "id"),
        ("runs_list", {"project": "nowhere"}, "not_found", "project"),
        ("runs_list", {}, "bad_input", "project"),
        ("runs_list", {"project": "default", "limit": "many"}, "bad_input", "limit"),
        ("runs_list", {"project": "default", "limt": 3}, "unknown_field", "limt"),
        ("runs_create", {"project": "default", "name": 5}, "bad_input", "name"),
        ("assets_show", {"project": "default", "ref": "nokind"}, "bad_input", "ref"),
        ("assets_show", {"project": "default", "ref": None}, "bad_input", "ref"),
        ("assets_show", {"project": "default", "ref": {"kind": "model"}}, "bad_input", "ref"),
        ("projects_create", {"slug": "Not A Slug"}, "bad_input", "slug"),
    ],
)
async def test_a_failed_tool_is_a_result_with_our_code(served, name, given, code, where):
    """A model reads it and can do better; the words say what to do."""
    async with connected(served) as session:
        result = await session.call_tool(name, given)

    assert result.is_error
    error = result.structured_content["error"]
    assert (error["code"], error["where"]) == (code, where)
    assert result.content[0].text.startswith(f"{code}: ")
    assert error["todo"] in result.content[0].text


async def test_a_key_may_do_what_its_role_may(served):
    viewer = served.key(Role.VIEWER)
    async with connected(served, authorization=f"Bearer {viewer}") as session:
        read = await session.call_tool("runs_list", {"project": "default"})
        wrote = await session.call_tool("runs_create", {"project": "default", "name": "no"})
        elsewhere = await session.call_tool("runs_list", {"project": "by-mcp"})

    assert not read.is_error
    assert [r.structured_content["error"]["code"] for r in (wrote, elsewhere)] == ["forbidden", "forbidden"]


async def test_a_key_that_is_worth_nothing_does_not_connect(served, client):
    """The answer is HTTP's, which tells a client that it needs another key."""
    wrong = {"authorization": "Bearer gk_" + "x" * 43}
    with pytest.raises(ExceptionGroup) as problem:
        await connected(served, **wrong).__aenter__()
    reply = client.post("/mcp", json=rpc("tools/list"), headers=wrong)

    assert problem.group_contains(MCPError, match="error response")
    assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer")


async def test_an_unknown_tool_is_a_protocol_error(served):
    async with connected(served) as session:
        with pytest.raises(MCPError) as problem:
            await session.call_tool("launch_rockets", {})

    assert problem.value.code == -32602
    assert "launch_rockets" in problem.value.message


# The wire


def rpc(method: str, params: object = None, id_: object = 1) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": id_, "method": method} | ({} if params is None else {"params": params})


def modern(**params: object) -> dict[str, object]:
    meta = {_VERSION: MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
    return {"_meta": meta, **params}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{", -32700),
        (b'"\xff"', -32700),
        (b"[" * 90_000, -32700),
        (b"[]", -32600),
        (b'{"jsonrpc": "1.0", "id": 1, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1}', -32600),
        (b'{"jsonrpc": "2.0", "id": null, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": [1], "method": "ping"}', -32600),
    ],
    ids=["cut", "utf8", "deep", "batch", "version", "no-method", "null-id", "list-id"],
)
def test_what_is_no_request_is_400(client, content, code):
    reply = client.post("/mcp", content=content)

    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == code
    assert reply.json()["id"] is None


@pytest.mark.parametrize(
    ("params", "words"),
    [([1], "params"), ("x", "params"), ({"_meta": [1]}, "_meta"), ({"name": ["runs_list"]}, "no tool")],
)
def test_params_of_a_wrong_kind_are_named(client, params, words):
    error = client.post("/mcp", json=rpc("tools/call", params)).json()["error"]

    assert error["code"] == -32602
    assert words in error["message"]


def test_arguments_of_a_wrong_kind_are_a_failed_tool(client):
    result = client.post("/mcp", json=rpc("tools/call", {"name": "runs_list", "arguments": [1]})).json()["result"]

    assert result["isError"]
    assert result["structuredContent"]["error"]["where"] == "arguments"


@pytest.mark.parametrize("id_", [0, 7, "abc", ""])
def test_an_answer_has_the_id_of_its_request(client, id_):
    assert client.post("/mcp", json=rpc("ping", id_=id_)).json() == {"jsonrpc": "2.0", "id": id_, "result": {}}


def test_a_notification_is_accepted_without_a_body(client):
    reply = client.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"})

    assert (reply.status_code, reply.content) == (202, b"")


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("1999-01-01", NEWEST_HANDSHAKE),
        (None, NEWEST_HANDSHAKE),
    ],
)
def test_the_handshake_agrees_on_a_version(client, offered, chosen):
    result = client.post("/mcp", json=rpc("initialize", {"protocolVersion": offered})).json()["result"]

    assert result["protocolVersion"] == chosen


@pytest.mark.parametrize(
    ("headers", "params"),
    [
        ({"mcp-protocol-version": "1999-01-01"}, {}),
        ({}, {"_meta": {_VERSION: "2099-01-01"}}),
        ({"mcp-protocol-version": MODERN}, {"_meta": {_VERSION: "2099-01-01"}}),
    ],
)
def test_a_version_that_is_not_spoken_is_400_with_those_that_are(client, headers, params):
    reply = client.post("/mcp", json=rpc("tools/list", params), headers=headers)

    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == -32022
    assert MODERN in reply.json()["error"]["data"]["supported"]


@pytest.mark.parametrize(
    "headers",
    [
        {"mcp-protocol-version": NEWEST_HANDSHAKE},
        {"mcp-method": "tools/list"},
        {"mcp-name": "runs_create"},
        {"mcp-name": "=?base64?!!?="},
    ],
)
def test_headers_that_say_otherwise_than_the_body_are_refused(client, headers):
    """A proxy routes and admits by them: what is carried out must be what it saw."""
    params = modern(name="runs_list", arguments={"project": "default"})
    reply = client.post("/mcp", json=rpc("tools/call", params), headers=headers)

    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == -32020


def test_headers_that_agree_are_taken_also_when_encoded(client):
    params = modern(name="runs_list", arguments={"project": "default"})
    headers = {"mcp-protocol-version": MODERN, "mcp-method": "tools/call", "mcp-name": "=?base64?cnVuc19saXN0?="}
    result = client.post("/mcp", json=rpc("tools/call", params), headers=headers).json()["result"]

    assert result["resultType"] == "complete"
    assert not result["isError"]


def test_an_unknown_method_is_told_as_its_era_tells_it(client):
    old = client.post("/mcp", json=rpc("prompts/list"))
    new = client.post("/mcp", json=rpc("prompts/list", modern()))

    assert (old.status_code, old.json()["error"]["code"]) == (200, -32601)
    assert (new.status_code, new.json()["error"]["code"]) == (404, -32601)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_there_is_no_stream_and_no_session(client, method):
    """As the specification allows: 405, and clients go on without."""
    reply = client.request(method, "/mcp", headers={"accept": "text/event-stream"})

    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")
    assert reply.json()["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"host": "evil.example"}])
def test_a_page_from_elsewhere_is_refused(client, headers):
    """The specification asks for it against DNS rebinding."""
    assert client.post("/mcp", json=rpc("tools/list"), headers=headers).status_code == 403


def test_the_list_is_the_same_each_time(client):
    """Prompt caches hold only for the same bytes."""
    first = client.post("/mcp", json=rpc("tools/list")).content

    assert client.post("/mcp", json=rpc("tools/list")).content == first
