"""Which client serves an origin: ours, or the library's where the environment names a proxy for it."""

from collections.abc import AsyncIterator
from types import CoroutineType
from typing import Any

from gimbal.engines.http.library import LibraryClient
from gimbal.engines.http.model import Client, Deadlines, HeaderList, Origin, Response
from gimbal.engines.http.pool import DEFAULT_LIMITS, Limits
from gimbal.engines.http.proxies import proxy_of
from gimbal.engines.http.raw import RawClient


class ChoosingClient:
    """Implements `Client`; the environment is read when an origin is first asked."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS, *, ca_file: str = "") -> None:
        self._limits = limits
        self._ca_file = ca_file
        self._raw = RawClient(limits, ca_file=ca_file)
        self._of: dict[Origin, Client] = {}

    def client_for(self, origin: Origin) -> Client:
        """Return the client that serves an origin."""
        client = self._of.get(origin)
        if client is None:
            proxy = proxy_of(origin)
            client = self._raw
            if proxy is not None:
                client = LibraryClient(self._limits, ca_file=self._ca_file, proxy=proxy)
            self._of[origin] = client
        return client

    def send(
        self,
        method: bytes,
        origin: Origin,
        target: bytes,
        headers: HeaderList,
        body: bytes | AsyncIterator[bytes] = b"",
        *,
        deadlines: Deadlines,
    ) -> "CoroutineType[Any, Any, Response]":
        """Send a request by the client that serves the origin."""
        client = self._of.get(origin) or self.client_for(origin)
        return client.send(method, origin, target, headers, body, deadlines=deadlines)

    async def aclose(self) -> None:
        """Close all connections."""
        for client in {self._raw, *self._of.values()}:
            await client.aclose()
