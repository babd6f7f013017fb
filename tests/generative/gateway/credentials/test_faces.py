"""A key that was given once is in nothing that any face shows afterwards, nor in a store, a log or a metric."""

import asyncio
import json
import logging
import os
import re
import subprocess
import sys

import httpx
import pytest
from tests.generative.gateway.upstreams.loopback import Reply, loopback
from tests.sqlite import catalog_address  # noqa: F401 - a fixture
from tests.upstreams import serve

from gimbal.axis.projects.service import Projects
from gimbal.engines.console.console import Console
from gimbal.engines.console.pages import all_pages
from gimbal.engines.storage.writer import Writer
from gimbal.faces.server import builtin, capabilities
from gimbal.faces.server.app import App
from gimbal.faces.server.stores import Stores
from gimbal.faces.server.wiring import build_services
from gimbal.generative.gateway.providers.registry import Providers
from gimbal.kernel.operations import operations
from gimbal.kernel.settings import Settings
from gimbal.kernel.settings_gateway import GatewaySettings

capabilities.load_operations()
capabilities.load_dialects()
capabilities.load_pages()

SECRET = "sk-very-secret-0123456789"
HALF = "0123456789"
MESSAGES = [{"role": "user", "content": "hi"}]
MASTER = "k1:" + "A" * 43 + "="


@pytest.fixture
async def url(tmp_path, catalog, blobs, columns):
    """Serve the whole application, with a master key in a file."""
    keys = tmp_path / "keys"
    keys.write_text(MASTER)
    settings = Settings(data=str(tmp_path), gateway=GatewaySettings(key_file=str(keys)))
    writer = Writer(columns, settings.writer)
    writer.start()
    services = build_services(settings, Stores(catalog=catalog, columns=columns, blobs=blobs, writer=writer))
    await services.get(Projects).ensure_default()
    app = App(services, settings)
    builtin.install(app, Console(version="test", cache=tmp_path / "cache"))
    async with serve(app) as found:
        yield found
    await services.get(Providers).aclose()
    await writer.close()


def shows_nothing(text):
    assert SECRET not in text
    assert HALF not in text
    assert "AAAAAAAAAAAAAAAAAAAA" not in text


@pytest.mark.slow
async def test_no_face_shows_a_key(url, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    async with httpx.AsyncClient(base_url=url, timeout=20) as http, loopback() as up:
        up.replies = [Reply(401, json.dumps({"error": {"message": f"no such key: Bearer {SECRET}"}}).encode())]
        body = {"name": "mine", "kind": "vllm", "base_url": up.url, "key": SECRET}
        told = {"base_url": up.url, "key": SECRET, "token_url": f"{up.url}/token"}
        entra = told | {"name": "entra", "kind": "azure", "identity": "client", "tenant": "t", "client_id": "c"}
        key = json.dumps({"access_key_id": "AKID", "secret_access_key": SECRET, "session_token": SECRET})
        assumed = {"region": "eu-west-1", "role": "arn:aws:iam::123456789012:role/gimbal"}
        role = told | assumed | {"name": "role", "kind": "bedrock", "key": key}
        answers = [
            await http.post("/api/v1/projects/default/providers", json=body),
            await http.post("/api/v1/projects/default/providers", json=body),
            await http.post("/api/v1/providers", json=body),
            await http.post("/api/v1/projects/default/providers", json=body | {"kind": "none"}),
            await http.post("/api/v1/projects/default/providers", json=body | {"key": [SECRET]}),
            await http.post("/api/v1/projects/default/providers", json=body | {"key": SECRET * 1000}),
            await http.post("/api/v1/projects/default/providers", json=body | {"kind": "vertex", "name": "v"}),
            await http.post("/api/v1/providers", json=entra),
            await http.post("/api/v1/providers", json=role),
            await http.post("/api/v1/projects/default/providers/entra/check?model=m"),
            await http.post("/api/v1/projects/default/providers/role/check?model=m"),
            await http.patch("/api/v1/projects/default/providers/mine", json={"key": SECRET}),
            await http.post("/api/v1/projects/default/providers/mine/check"),
            await http.post("/api/v1/projects/default/providers/mine/check?model=m"),
            await http.post("/api/v1/providers/reseal"),
            *[
                await http.post(path, json={"model": "mine/m", "max_tokens": 5, "stream": stream, "messages": MESSAGES})
                for path in ("/v1/chat/completions", "/v1/messages")
                for stream in (False, True)
            ],
        ]
        assert [answer.status_code for answer in answers[:3]] == [200, 409, 200], answers[0].text
        assert up.last.header("authorization") == f"Bearer {SECRET}"
        for op in operations():
            if op.method == "GET" and not op.streams:
                path = re.sub(r"\{(\w+)\}", lambda part: "default" if part[1] == "project" else "mine", op.path)
                answers.append(await http.get(f"/api/v1{path}"))
        pages = [re.sub(r"\{[^}]+\}", "mine", f"/p/default{page.path}") for page in all_pages()]
        paths = ["/healthz", "/readyz", "/metrics", "/openapi.json", "/v1/models", *pages]
        answers += [await http.get(path) for path in paths]
        for tool in ("providers_list", "providers_check", "audit_list"):
            call = {
                "name": tool,
                "arguments": {"project": "default", "name": "mine"} if "check" in tool else {"project": "default"},
            }
            answers.append(
                await http.post(
                    "/mcp",
                    json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call},
                    headers={"accept": "application/json, text/event-stream"},
                )
            )
        assert "mine" in answers[-3].text
        assert len(answers) > 60
        for answer in answers:
            shows_nothing(answer.text + str(answer.headers))
        for command in (["providers", "list"], ["providers", "show", "mine", "--json"], ["providers", "check", "mine"]):
            shows_nothing(await _cli(url, *command))
    shows_nothing(caplog.text)
    stored = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "keys"]
    assert any(b"gk1.k1." in raw for raw in stored)
    assert not any(SECRET.encode() in raw for raw in stored)


async def _cli(url, *words, stdin=""):
    def run():
        return subprocess.run(
            [sys.executable, "-m", "gimbal.faces.cli.main", *words],
            env=os.environ | {"GIMBAL_URL": url},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    done = await asyncio.to_thread(run)
    assert done.returncode == int("check" in words), done.stderr
    return done.stdout + done.stderr


async def test_the_command_takes_a_key_from_a_file_or_standard_input(url):
    async with loopback() as up, httpx.AsyncClient(base_url=url) as http:
        up.replies = [Reply(body=b'{"data":[]}')]
        said = await _cli(
            url, "providers", "create", "--name", "mine", "--kind", "vllm", "--base-url", up.url, "--key", "@-",
            stdin=f"{SECRET}\n",
        )  # fmt: skip
        shows_nothing(said)
        await http.post("/api/v1/projects/default/providers/mine/check")
        assert up.last.header("authorization") == f"Bearer {SECRET}"
