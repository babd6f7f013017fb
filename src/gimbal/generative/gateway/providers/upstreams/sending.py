"""How requests reach a provider over HTTP: address, headers, deadlines, errors, and what is passed through as it is."""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec

from gimbal.engines.http.model import Client, Deadlines, HeaderList, Response
from gimbal.generative.gateway.credentials.secret import Secret
from gimbal.generative.gateway.providers.upstreams.addressing import (
    PASSED,
    PASSED_THROUGH,
    address,
    header,
    ids,
    with_passed,
)
from gimbal.generative.gateway.providers.upstreams.kinds import Kind
from gimbal.generative.gateway.providers.upstreams.refusals import refusal, said
from gimbal.generative.gateway.providers.upstreams.speaking import wire_named
from gimbal.kernel.errors import BadInput, ConfigurationError, GimbalError, Upstream
from gimbal.kernel.settings_gateway import ProviderSettings

_MAX_ANSWER_BYTES = 64 * 1024 * 1024
_MAX_REFUSAL_BYTES = 64 * 1024
# A placeholder such as `none` is no secret, and is a word that answers may well have.
_SHORTEST_SECRET = 8
_LIST_DEADLINES = Deadlines(connect_s=3.0, first_byte_s=3.0, between_s=3.0, total_s=5.0)
_AGENT = (b"user-agent", b"gimbal")
Wires = Callable[[str], Any]
"""Returns a wire by its name."""


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """One provider as it is configured, with its key at hand."""

    kind: Kind
    settings: ProviderSettings
    key: Secret = Secret()
    scope: str = ""
    """Project that it belongs to; empty for the installation."""

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return (self.settings.base_url or self.kind.base_url).rstrip("/")

    @property
    def pricing(self) -> str:
        """Its name in the price book: that of the kind only where the kind's makers answer."""
        if self.settings.pricing:
            return self.settings.pricing
        own = not self.settings.base_url or self.kind.owns(self.settings.base_url)
        return self.kind.pricing if own and self.kind.pricing else self.settings.name


class Sender:
    """One upstream over HTTP, as far as requests go there and answers come back."""

    signs = False
    """Whether headers depend on the request or the time: then `authorized` is asked for each."""

    most_bytes = _MAX_ANSWER_BYTES
    """Size that a whole answer may have."""

    def __init__(self, setup: Setup, client: Client, *, wires: Wires = wire_named) -> None:
        self.name = setup.settings.name
        self.pricing = setup.pricing
        self.scope = setup.scope
        self.timeout_s = setup.settings.timeout_s
        self.kind = setup.kind
        self._setup = setup
        self._client = client
        self._wires = wires
        key = setup.key.reveal()
        self._secrets = (key.encode(),) if len(key) >= _SHORTEST_SECRET else ()
        self._origin, self._base = address(self.url(setup), self.name)
        self._own = [header(name, value) for name, value in setup.settings.headers.items()]
        self._headers = self._all_headers("")

    def __repr__(self) -> str:
        """Name it, without its key."""
        return f"{type(self).__name__}({self.name!r})"

    def url(self, setup: Setup) -> str:
        """Return its address; raise ConfigurationError where it has none."""
        if not setup.url:
            raise ConfigurationError(
                f"The provider {self.name!r} has no address.", where="base_url", todo="Give its base_url."
            )
        return setup.url

    def headers(self, key: str, wire: str) -> Sequence[tuple[bytes, bytes]]:
        """Return the headers of requests by a wire, or (empty) of any other; the key may be empty."""
        return [(b"authorization", b"Bearer " + key.encode())] if key else []

    async def authorized(self, path: bytes, headers: HeaderList, body: bytes) -> HeaderList:
        """Return the headers with what proves who asks, for kinds that sign."""
        return headers

    def unproven(self, response: Response) -> bool:
        """Tell whether an answer says that nobody has proved who asks, whom another proof may help."""
        return response.status == 401

    def stale(self, sent: HeaderList) -> bool:
        """Tell whether what was refused can be had anew, and forget it."""
        return False

    def secrets(self) -> Sequence[bytes]:
        """Return what must not be in what anybody sees."""
        return self._secrets

    async def pass_through(
        self,
        method: str,
        path: str,
        headers: HeaderList,
        body: bytes | AsyncIterator[bytes] = b"",
        *,
        deadlines: Deadlines,
    ) -> Response:
        """Send a request as it is and return the answer with its body unread, whatever its status; close it in any case.

        `path` is below the provider's address: `files`, `files/file-1/content?x=y`. Raise BadInput for one that this
        provider does not pass through.
        """
        if not self.passes_through(path):
            raise BadInput(
                f"{self.name} does not pass {path.partition('?')[0][:80]!r} through.",
                where="path",
                todo=f"It passes: {', '.join(self.kind.through) or 'nothing'}.",
            )
        passed = PASSED_THROUGH | PASSED["openai"] | PASSED["anthropic"]
        kept = with_passed(self._headers, headers, passed)
        target = self._target(f"/{path}")
        try:
            if self.signs:
                kept = await self.authorized(target, kept, b"")
            return await self._client.send(
                method.upper().encode(), self._origin, target, kept, body, deadlines=deadlines
            )
        except GimbalError as problem:
            raise self._of_mine(problem) from None

    def passes_through(self, path: str) -> bool:
        """Tell whether a path may be passed through."""
        plain = path.partition("?")[0]
        clean = path.isascii() and path.isprintable() and " " not in path and "#" not in path
        parts = plain.replace("%2e", ".").replace("%2E", ".").split("/")
        return (
            clean
            and not {"", ".", ".."} & set(parts)
            and any(plain == first or plain.startswith(f"{first}/") for first in self.kind.through)
        )

    async def models(self) -> list[str]:
        """Return the configured models, else what the provider says now; empty when it cannot be asked."""
        if self._setup.settings.models:
            return list(self._setup.settings.models)
        try:
            return await self.ask_models()
        except GimbalError:
            return []

    async def ask_models(self) -> list[str]:
        """Ask the provider for its models; raise what goes wrong."""
        return ids(await self.get("/models"), "data", "id")

    async def get(self, path: str) -> Any:
        """Return the JSON at a path below the address; raise a GimbalError when it cannot be had soon."""
        response = await self._sent(b"GET", self._target(path), self._headers, b"", _LIST_DEADLINES)
        try:
            await self._check(response, "")
            raw = await self._read(response)
        finally:
            await response.aclose()
        try:
            return msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Upstream(
                f"{self.name} sent something that is not JSON: {said(raw)[0][:120]!r}.",
                todo="Check that base_url names an API of this kind, version part included.",
            ) from None

    async def aclose(self) -> None:
        """Hold nothing: connections belong to the client, which all providers share."""

    def _target(self, path: str) -> bytes:
        return (self._base + path).encode("ascii")

    def _all_headers(self, wire: str) -> HeaderList:
        return (_AGENT, *self.headers(self._setup.key.reveal(), wire), *self._own)

    async def _sent(
        self, method: bytes, path: bytes, headers: HeaderList, body: bytes, deadlines: Deadlines
    ) -> Response:
        if deadlines.first_byte_s > self.timeout_s or deadlines.between_s > self.timeout_s:
            deadlines = deadlines._replace(
                first_byte_s=min(deadlines.first_byte_s, self.timeout_s),
                between_s=min(deadlines.between_s, self.timeout_s),
            )
        try:
            if not self.signs:
                return await self._client.send(method, self._origin, path, headers, body, deadlines=deadlines)
            signed = await self.authorized(path, headers, body)
            response = await self._client.send(method, self._origin, path, signed, body, deadlines=deadlines)
            if self.unproven(response) and self.stale(signed):
                # Nothing was done for who could not prove who asks: once more, with a proof that is new.
                await response.aclose()
                signed = await self.authorized(path, headers, body)
                response = await self._client.send(method, self._origin, path, signed, body, deadlines=deadlines)
        except GimbalError as problem:
            raise self._of_mine(problem) from None
        return response

    async def _check(self, response: Response, wire: str) -> None:
        """Raise Refusal for an error status."""
        if 200 <= response.status < 300:
            return
        body = bytearray()
        # A connection that breaks here changes nothing of the status that has come.
        with contextlib.suppress(GimbalError):
            async for chunk in response.chunks():
                body += chunk
                if len(body) >= _MAX_REFUSAL_BYTES:
                    break
        raise refusal(
            self.name,
            response.status,
            bytes(body[:_MAX_REFUSAL_BYTES]),
            response.headers,
            wire=wire,
            secrets=self.secrets(),
            bad_key=self.kind.bad_key,
        )

    async def _read(self, response: Response) -> bytes:
        try:
            return await response.read(self.most_bytes)
        except GimbalError as problem:
            raise self._of_mine(problem) from None

    def _of_mine(self, problem: GimbalError) -> GimbalError:
        """Say in an error whose it is, and nothing of our key."""
        if not problem.message.startswith(self.name):
            problem.message = f"{self.name}: {problem.message}"
        for secret in self.secrets():
            problem.message = problem.message.replace(secret.decode(), "***")
        return problem
