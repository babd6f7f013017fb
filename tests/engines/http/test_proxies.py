"""Which client serves an origin, and what goes through a proxy."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpcore
import pytest

from gimbal.engines.http.choose import ChoosingClient
from gimbal.engines.http.library import LibraryClient
from gimbal.engines.http.model import Broken, Origin, Response, TooSlow, Unreachable
from gimbal.engines.http.pool import Limits
from gimbal.engines.http.proxies import proxy_of
from gimbal.engines.http.raw import RawClient
from gimbal.kernel.errors import CorruptSettings
from gimbal.testing.http_client.secure import Authority
from gimbal.testing.http_client.server import OK, PATIENT, Peer, Server, always, serving, sockets, until

FAR = Origin("https", "api.example.org", 443)


def address(proxy: httpcore.Proxy | None) -> str:
    return bytes(proxy.url).decode() if proxy else ""


@pytest.mark.parametrize(
    ("environment", "origin", "expected"),
    [
        ({}, FAR, ""),
        ({"https": "http://proxy:3128"}, FAR, "http://proxy:3128/"),
        ({"https": "proxy:3128"}, FAR, "http://proxy:3128/"),
        ({"https": "https://proxy"}, FAR, "https://proxy/"),
        ({"https": "http://[::1]:8"}, FAR, "http://::1:8/"),  # so httpcore writes it
        ({"http": "http://proxy:3128"}, FAR, ""),
        ({"all": "socks5://proxy:1080"}, FAR, "socks5://proxy:1080/"),
        ({"https": "http://one", "all": "http://two"}, FAR, "http://one/"),
        ({"https": "http://proxy", "no": "example.org"}, FAR, ""),
        ({"https": "http://proxy", "no": ".example.org, x"}, FAR, ""),
        ({"https": "http://proxy", "no": "ample.org"}, FAR, "http://proxy/"),
        ({"https": "http://proxy", "no": "*"}, FAR, ""),
        ({"https": "http://proxy", "no": "api.example.org:443"}, FAR, ""),
        ({"https": "http://proxy", "no": "api.example.org:444"}, FAR, "http://proxy/"),
        ({"https": "http://proxy", "no": "nonsense/99,10.0.0.0/8"}, Origin("https", "10.1.2.3", 443), ""),
        ({"https": "http://proxy", "no": "10.0.0.0/8"}, Origin("https", "11.1.2.3", 443), "http://proxy/"),
        ({"http": "http://proxy"}, Origin("http", "127.0.0.1", 11434), ""),
        ({"http": "http://proxy"}, Origin("http", "localhost", 11434), ""),
        ({"http": "http://proxy"}, Origin("http", "::1", 11434), ""),
    ],
)
def test_the_environment_names_the_proxy(environment: dict[str, str], origin: Origin, expected: str) -> None:
    assert address(proxy_of(origin, environment)) == expected


def test_a_proxy_may_want_a_password() -> None:
    proxy = proxy_of(FAR, {"https": "http://me:p%40ss@proxy:3128"})

    assert proxy is not None
    assert address(proxy) == "http://proxy:3128/"
    assert proxy.auth == (b"me", b"p@ss")


@pytest.mark.parametrize("named", ["ftp://proxy", "http://", "://"])
def test_what_is_no_proxy_is_told(named: str) -> None:
    with pytest.raises(CorruptSettings, match="HTTPS_PROXY"):
        proxy_of(FAR, {"https": named})


async def test_ours_serves_unless_there_is_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    client = ChoosingClient()

    assert isinstance(client.client_for(FAR), LibraryClient)
    assert isinstance(client.client_for(Origin("http", "example.org", 80)), RawClient)
    assert client.client_for(FAR) is client.client_for(FAR)
    await client.aclose()


async def proxying(peer: Peer) -> None:
    """Let through what asks for it with CONNECT, and answer what asks for a whole URL."""
    asked = await peer.request()
    if not asked.line.startswith(b"CONNECT "):
        await peer.say(OK)
        return
    if asked.header(b"proxy-authorization") != b"Basic bWU6cEBzcw==":
        await peer.say(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        return
    port = int(asked.line.split()[1].rpartition(b":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await peer.say(b"HTTP/1.1 200 Connection established\r\n\r\n")

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        sink.close()

    await asyncio.gather(carry(peer.reader, writer), carry(reader, peer.writer))


@contextlib.asynccontextmanager
async def through(
    folder: Path, *, auth: tuple[str, str] | None, script: object = proxying
) -> AsyncIterator[tuple[LibraryClient, Server, Server]]:
    """Give a client behind a proxy, the proxy, and a server over TLS."""
    authority = Authority(folder)
    async with (
        serving(script) as proxy,  # type: ignore[arg-type]
        serving(always(OK), tls=authority.context("localhost"), host="localhost") as server,
    ):
        client = LibraryClient(
            Limits(connections=2),
            ca_file=authority.file,
            proxy=httpcore.Proxy(f"http://127.0.0.1:{proxy.origin.port}", auth=auth),
        )
        try:
            yield client, proxy, server
        finally:
            await client.aclose()


async def ask(client: LibraryClient, origin: Origin, connect_s: float = 5) -> Response:
    return await client.send(b"POST", origin, b"/x", (), b"{}", deadlines=PATIENT._replace(connect_s=connect_s))


async def test_tls_goes_through_a_tunnel_that_is_kept(tmp_path: Path) -> None:
    before = sockets()
    async with through(tmp_path, auth=("me", "p@ss")) as (client, proxy, server):
        for _ in range(3):
            answer = await ask(client, server.origin)
            assert await answer.read(10) == b"ok"
            await answer.aclose()
        assert (proxy.connections, server.connections, len(server.requests)) == (1, 1, 3)
    await until(lambda: sockets() <= before, "a socket is left")


async def test_plain_http_is_asked_of_the_proxy(tmp_path: Path) -> None:
    async with through(tmp_path, auth=None) as (client, proxy, _):
        answer = await ask(client, Origin("http", "api.example.org", 80))
        assert await answer.read(10) == b"ok"
        assert proxy.requests[0].line == b"POST http://api.example.org/x HTTP/1.1"
        assert proxy.requests[0].header(b"host") == b"api.example.org"


async def test_a_proxy_that_refuses_is_unreachable(tmp_path: Path) -> None:
    async with through(tmp_path, auth=("me", "wrong")) as (client, proxy, server):
        for _ in range(4):
            with pytest.raises(Unreachable, match="407"):
                await ask(client, server.origin)
        assert server.connections == 0
        await until(lambda: proxy.open == 0, "closed")


async def test_a_proxy_that_says_nothing_is_too_slow_and_keeps_no_place(tmp_path: Path) -> None:
    async with through(tmp_path, auth=None, script=Peer.gone) as (client, proxy, server):
        for _ in range(4):
            with pytest.raises(TooSlow) as slow:
                await ask(client, server.origin, connect_s=0.1)
            assert slow.value.phase == "connect"
        await until(lambda: proxy.open == 0, "closed")
        tasks = [asyncio.ensure_future(ask(client, server.origin)) for _ in range(3)]
        await until(lambda: proxy.open == 2, "two places")
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await until(lambda: proxy.open == 0, "closed")


async def test_a_proxy_that_is_not_there_is_unreachable() -> None:
    client = LibraryClient(proxy=httpcore.Proxy("http://127.0.0.1:1"))
    with pytest.raises(Unreachable, match="refused"):
        await ask(client, FAR)
    await client.aclose()


async def test_an_answer_that_a_tunnel_breaks_off_is_broken(tmp_path: Path) -> None:
    async def breaks(peer: Peer) -> None:
        await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")

    authority = Authority(tmp_path)
    async with (
        serving(proxying) as proxy,
        serving(breaks, tls=authority.context("localhost"), host="localhost") as server,
    ):
        client = LibraryClient(
            ca_file=authority.file, proxy=httpcore.Proxy(f"http://127.0.0.1:{proxy.origin.port}", auth=("me", "p@ss"))
        )
        answer = await ask(client, server.origin)
        with pytest.raises(Broken) as broken:
            await answer.read(100)
        assert broken.value.begun
        await client.aclose()
