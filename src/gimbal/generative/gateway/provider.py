"""What answers calls: one provider over its own wire, and one answer that has begun.

`providers` has one file each; `resilience` decides which is tried when, and `pipeline` reads the answer.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from gimbal.engines.http.model import Deadlines
from gimbal.generative.gateway.call import Call
from gimbal.generative.gateway.conversation import Json, Piece
from gimbal.kernel.errors import GimbalError


class Refusal(GimbalError):
    """A provider answered with an error status; `status` and `code` are what the caller shall see.

    `provider_status`, `body` and `headers` are as the provider sent them: a caller of the same wire (`wire`) gets the body
    as it is.
    """

    code = "provider_refused"  # pyright: ignore[reportIncompatibleVariableOverride]
    status = 502  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(
        self,
        message: str,
        *,
        status: int = 502,
        code: str = "provider_refused",
        provider_status: int = 502,
        body: bytes = b"",
        headers: Sequence[tuple[bytes, bytes]] = (),
        wire: str = "",
        where: str = "",
        kept: str = "",
        todo: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, where=where, kept=kept, todo=todo, retry_after=retry_after)
        self.status = status  # pyright: ignore[reportAttributeAccessIssue]
        self.code = code  # pyright: ignore[reportAttributeAccessIssue]
        self.provider_status = provider_status
        self.body_sent = body
        self.headers = tuple(headers)
        self.wire = wire


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Which model of which provider shall answer."""

    provider: str
    """Name of the provider."""
    model: str
    """Without the provider's name."""
    why: str = ""
    """Why it was chosen, for the trace: `asked for`, `fallback`, `weight 0.2`, `cheapest` …"""
    prompt: str = ""
    """Resolved reference of the prompt that the caller's variables fill; empty: the call goes on as it came."""


async def _nothing() -> None:
    return None


class Answer:
    """A provider's answer that has begun; close it in any case.

    Either `whole` is there, or `pieces` are to be read.
    """

    def __init__(
        self,
        *,
        whole: Piece | None = None,
        pieces: AsyncIterator[Piece] | None = None,
        same: bool = False,
        model: str = "",
        fingerprint: str = "",
        headers: Sequence[tuple[bytes, bytes]] = (),
        note: Json | None = None,
        close: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        self.whole = whole
        self.pieces = pieces
        self.same = same
        """Whether `raw` of its pieces is of the caller's wire."""
        self.model = model
        """Model that answers, as far as known before the first piece."""
        self.fingerprint = fingerprint
        self.headers = headers
        """What the caller may see of the provider's headers: rate limits, its id of the request."""
        self.note = note or {}
        """What else the trace should say of it, as flat attributes."""
        self._close = close

    async def aclose(self) -> None:
        """Stop the provider and give the connection back; what goes wrong in that is of no consequence any more."""
        if self.pieces is not None:
            with contextlib.suppress(Exception):
                closer = getattr(self.pieces, "aclose", None)
                if closer:
                    await closer()
        if self._close is not _nothing:
            with contextlib.suppress(Exception):
                await self._close()


class Provider(Protocol):
    """One upstream. `open` returns once it has accepted the call, or raises the error that the caller shall see."""

    @property
    def name(self) -> str:
        """The short name, as in `name/model`."""
        ...

    @property
    def pricing(self) -> str:
        """The name by which the price book knows it."""
        ...

    async def open(self, call: Call, model: str, deadlines: Deadlines) -> Answer:
        """Send the call for `model` (without the provider's name).

        A whole answer has been read when this returns, a stream has begun. Raise Refusal for an error status, Unreachable,
        Broken or TooSlow for the connection, BadInput for what its wire cannot express.
        """
        ...

    async def models(self) -> list[str]:
        """Return the models it offers, without its name; empty when it cannot be asked now."""
        ...

    async def aclose(self) -> None:
        """Close its connections."""
        ...
