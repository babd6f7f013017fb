"""Proxies that hand chat completions on, each alone on the first core; upstream and load are on the second.

Every one speaks HTTP/1.1 with kept connections to the same upstream and answers the same request. `gateway` compares them.
"""

import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil

from bench import peers, programs
from bench.bar import free_port, gimbal_up

PROXY_CORE, OTHER_CORE = "0", "1"
PATH = "/v1/chat/completions"
_START_S = 120
_HERE = Path(__file__).parent
MODEL = "gpt-4o-mini"
ANSWER = (
    '{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-4o-mini","choices":[{"index":0,"message":'
    '{"role":"assistant","content":"Gimbal keeps both rings level.","refusal":null},"logprobs":null,"finish_reason":"stop"}],'
    '"usage":{"prompt_tokens":21,"completion_tokens":5,"total_tokens":26,"prompt_tokens_details":{"cached_tokens":8,'
    '"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":2,"audio_tokens":0}},"service_tier":"default"}'
)
_NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/errors.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000; default_type application/json;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d;
  scgi_temp_path {folder}/e;
  {inside}
}}
"""


class Proxy(NamedTuple):
    """One that is running."""

    port: int
    model: str
    headers: dict[str, str]
    process: psutil.Process
    behind: psutil.Process | None = None
    """What belongs to it and runs on the other core."""
    url: str = ""
    """Address of the API, where it has one."""

    def cpu_s(self) -> float:
        """Return the seconds of CPU that it and its children have taken."""
        return sum(sum(one.cpu_times()[:2]) for one in self._all())

    def cpu_behind_s(self) -> float:
        """Return what those have taken that are behind it."""
        if self.behind is None:
            return 0.0
        every = [self.behind, *self.behind.children(recursive=True)]
        return sum(sum(one.cpu_times()[:2]) for one in every if one.pid != self.process.pid)

    def resident(self) -> int:
        """Return the bytes that it and its children have resident."""
        return sum(one.memory_info().rss for one in self._all())

    def _all(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


@contextlib.contextmanager
def nginx(inside: Callable[[int], str], *, core: str) -> Iterator[tuple[int, psutil.Process]]:
    """Run nginx with one worker and what `inside` returns for its port; yield the port and the process."""
    program = programs.debian("nginx", "nginx")
    with tempfile.TemporaryDirectory(prefix="nginx-") as folder:
        port = free_port()
        (Path(folder) / "conf").write_text(_NGINX.format(folder=folder, inside=inside(port)))
        command = [program.path, "-e", f"{folder}/errors.log", "-p", folder, "-c", f"{folder}/conf"]
        with _started(command, port, core=core, environment=program.environment) as process:
            yield port, process


@contextlib.contextmanager
def upstream() -> Iterator[int]:
    """Run a server that answers at once; yield its port."""

    def inside(port: int) -> str:
        return f"server {{ listen 127.0.0.1:{port}; location / {{ return 200 '{ANSWER}'; }} }}"

    with nginx(inside, core=OTHER_CORE) as (port, _):
        yield port


@contextlib.contextmanager
def nginx_proxy(target: int) -> Iterator[Proxy]:
    """Run nginx as a proxy: the limit of one."""

    def inside(port: int) -> str:
        return (
            f"upstream one {{ server 127.0.0.1:{target}; keepalive 128; keepalive_requests 100000000; }} "
            f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://one; proxy_http_version 1.1; "
            'proxy_set_header Connection ""; } }'
        )

    with nginx(inside, core=PROXY_CORE) as (port, process):
        yield Proxy(port, MODEL, {}, process)


@contextlib.contextmanager
def thin(target: int) -> Iterator[Proxy]:
    """Run our HTTP server and client with nothing between them: the limit of this stack."""
    port = free_port()
    command = [sys.executable, "-m", "bench.thin_proxy", str(port)]
    with _started(command, port, core=PROXY_CORE, environment={"UPSTREAM": str(target)}) as process:
        yield Proxy(port, MODEL, {}, process)


@contextlib.contextmanager
def gimbal(target: int, *, wake_us: int | None = None) -> Iterator[Proxy]:
    """Run Gimbal with one gateway process on the core of proxies and all else on the other; a key and a price, as it comes."""
    more = "" if wake_us is None else f"wake_us = {wake_us}\n"
    with tempfile.TemporaryDirectory(prefix="gimbal-gateway-") as text:
        config, port = Path(text) / "gimbal.toml", free_port()
        config.write_text(
            f"[gateway]\nprocesses = 1\nport = {port}\n{more}"
            f'[[gateway.providers]]\nname = "up"\nkind = "openai"\nbase_url = "http://127.0.0.1:{target}/v1"\npricing = "openai"\n'
        )
        with gimbal_up(GIMBAL_CONFIG=str(config)) as up:
            while not _listens(port):
                time.sleep(0.05)
            made = httpx.post(f"{up.url}/api/v1/projects/default/keys", json={"name": "bench", "role": "developer"})
            headers = {
                "authorization": f"Bearer {made.raise_for_status().json()['secret']}",
                "x-gimbal-feature": "bench",
            }
            process = psutil.Process(up.process.pid)
            gateway = next(child for child in process.children() if child.cmdline()[-1:] == ["gateway"])
            for one in (process, *process.children(recursive=True)):
                core = PROXY_CORE if one.pid == gateway.pid else OTHER_CORE
                subprocess.run(["taskset", "-a", "-p", "-c", core, str(one.pid)], check=True, capture_output=True)
            yield Proxy(port, f"up/{MODEL}", headers, gateway, behind=process, url=up.url)


@contextlib.contextmanager
def litellm(target: int) -> Iterator[Proxy]:
    """Run litellm's proxy with one worker and no database."""
    programs_of = peers.environment("litellm", "litellm[proxy]")
    with tempfile.TemporaryDirectory(prefix="litellm-") as folder:
        config, port, key = Path(folder) / "config.yaml", free_port(), f"sk-{secrets.token_hex(24)}"
        config.write_text(
            f"model_list:\n  - model_name: {MODEL}\n    litellm_params:\n      model: openai/{MODEL}\n"
            f"      api_base: http://127.0.0.1:{target}/v1\n      api_key: none\n"
            f"general_settings:\n  master_key: {key}\n"
        )
        command = [str(programs_of / "litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
        environment = {
            "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "PATH": f"{programs_of}:{os.environ['PATH']}",
        }  # fmt: skip
        with _started([*command, "--num_workers", "1"], port, core=PROXY_CORE, environment=environment) as process:
            yield Proxy(port, MODEL, {"authorization": f"Bearer {key}"}, process)


@contextlib.contextmanager
def portkey(target: int) -> Iterator[Proxy]:
    """Run Portkey's gateway."""
    port = free_port()
    command = [*programs.npm("@portkey-ai/gateway", "build/start-server.js"), "--headless", f"--port={port}"]
    with _started(command, port, core=PROXY_CORE, environment={"NODE_ENV": "production"}) as process:
        headers = {
            "authorization": "Bearer none", "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"http://127.0.0.1:{target}/v1",
        }  # fmt: skip
        yield Proxy(port, MODEL, headers, process)


@contextlib.contextmanager
def sglang_router(target: int) -> Iterator[Proxy]:
    """Run SGLang's router, which is written in Rust."""
    programs_of = peers.environment("sglang-router")
    port = free_port()
    command = [
        str(programs_of / "python"), "-m", "sglang_router.launch_router", "--host", "127.0.0.1", "--port", str(port),
        "--worker-urls", f"http://127.0.0.1:{target}", "--policy", "round_robin", "--log-level", "error",
        "--prometheus-port", str(free_port()),
    ]  # fmt: skip
    with _started(command, port, core=PROXY_CORE, environment={}) as process:
        yield Proxy(port, MODEL, {}, process)


@contextlib.contextmanager
def _started(command: list[str], port: int, *, core: str, environment: dict[str, str]) -> Iterator[psutil.Process]:
    """Run a command on one core until it is not needed any more; raise PeerMissing when it does not answer."""
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            ["taskset", "-c", core, *command], env=inherited | environment, stdout=said, stderr=said,
            stdin=subprocess.DEVNULL, cwd=_HERE.parent,
        )  # fmt: skip
        watched = psutil.Process(process.pid)
        try:
            deadline = time.monotonic() + _START_S
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    said.seek(0)
                    raise peers.PeerMissing(f"it did not start: {said.read()[-300:]!r}")
                time.sleep(0.1)
            yield watched
        finally:
            below = watched.children(recursive=True) if watched.is_running() else []
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for one in below:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()


def _listens(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
