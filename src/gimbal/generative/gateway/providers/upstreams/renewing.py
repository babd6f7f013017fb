"""What proves who asks and ends after a while: fetched once for all who wait for it, and anew before it ends.

While one that is still good is held nobody is refused because no other is given; nor waits long for it.
"""

import asyncio
import html
import re
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import msgspec

from gimbal.engines.http.model import Client, Deadlines, HeaderList
from gimbal.generative.gateway.providers.upstreams.addressing import address
from gimbal.generative.gateway.providers.upstreams.refusals import said
from gimbal.kernel.errors import GimbalError, Upstream

EARLY_S = 120.0
"""Seconds before its end from which another one is fetched; half its life where that is less."""
_LAST_S = 10.0
"""Seconds before its end from which it is not used any more."""
_PAUSE_S = 5.0
"""Seconds after a failure for which one that is still good is used without another attempt."""
_PATIENCE_S = 0.5
"""Seconds for which a call waits for another one while the one that is held is still good."""
_DEADLINES = Deadlines(connect_s=5.0, first_byte_s=10.0, between_s=10.0, total_s=15.0)
_MOST_BYTES = 64 * 1024
_MOST_WORDS = 500
FORM = (b"content-type", b"application/x-www-form-urlencoded")
_T = TypeVar("_T")
_S = TypeVar("_S")


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """A token as it is given by OAuth 2.0."""

    access_token: str
    expires_in: float = 3600.0

    def __repr__(self) -> str:
        """Say nothing of it."""
        return "Given(***)"


class _Refused(msgspec.Struct, frozen=True, kw_only=True):
    error: str
    error_description: str = ""


class Lent(msgspec.Struct, Generic[_T], frozen=True):
    """What was given, and until when."""

    what: _T
    ends: float
    """Seconds since 1970."""


class Renewing(Generic[_T]):
    """Holds what is lent. `fetch` is what each kind has of its own."""

    def __init__(self, name: str, *, now: Callable[[], float] = time.time) -> None:
        self.name = name
        self._now = now
        self._held: _T | None = None
        self._until = 0.0
        self._ends = 0.0
        self._fetching: asyncio.Task[None] | None = None

    async def fetch(self) -> Lent[_T]:
        """Return another one; raise a GimbalError where none is given."""
        raise NotImplementedError

    @property
    def held(self) -> _T | None:
        """What was fetched last."""
        return self._held

    async def current(self) -> _T:
        """Return what is good for a while; raise what went wrong where nothing is."""
        now, held = self._now(), self._held
        if held is not None and now < self._until:
            return held
        task = self._fetching
        if task is None:
            task = self._fetching = asyncio.create_task(self._renew(), name=f"credentials of {self.name}")
            task.add_done_callback(self._fetched)
        # Whoever waits and goes away takes nothing from the others.
        if held is None or now >= self._ends:
            await asyncio.shield(task)
        else:
            await asyncio.wait({task}, timeout=_PATIENCE_S)
        assert self._held is not None, "what was fetched is held"
        return self._held

    def forget(self, what: _T) -> None:
        """Fetch another one the next time: this one was refused."""
        if what == self._held:
            self._until = self._ends = 0.0

    async def _renew(self) -> None:
        asked = self._now()
        lent = await self.fetch()
        self._held = lent.what
        life = max(lent.ends - asked, 0.0)
        self._until = lent.ends - min(EARLY_S, life / 2)
        self._ends = lent.ends - min(_LAST_S, life / 2)

    def _fetched(self, task: asyncio.Task[None]) -> None:
        self._fetching = None
        # Those who waited were told.
        if not task.cancelled() and task.exception() is not None:
            self._until = min(self._ends, self._now() + _PAUSE_S)


class Desk:
    """A place over HTTP where one is told or given what proves who asks."""

    def __init__(self, client: Client, url: str, *, name: str, what: str, where: str) -> None:
        self.origin, below = address(url, name, where)
        self._below = below.encode()
        self.url = url
        self._client = client
        self._name = name
        self._what = what

    @property
    def target(self) -> bytes:
        """Its own path."""
        return self._below or b"/"

    async def ask(
        self,
        method: bytes,
        path: str = "",
        headers: HeaderList = (),
        body: bytes = b"",
        *,
        todo: str | Callable[[bytes], str] = "",
        hidden: Sequence[str] = (),
    ) -> bytes:
        """Return what was answered; raise Upstream for anything but 200, with nothing of what is hidden in it."""
        rows = [*headers, (b"user-agent", b"gimbal")]
        target = self._below + path.encode() or b"/"
        try:
            response = await self._client.send(method, self.origin, target, rows, body, deadlines=_DEADLINES)
            try:
                raw = await response.read(_MOST_BYTES)
            finally:
                await response.aclose()
        except GimbalError as problem:
            problem.message = f"{self._name} gets no {self._what}: {problem.message}"
            problem.todo = todo if isinstance(todo, str) and todo else problem.todo
            raise
        if response.status != 200:
            words = _words(raw)
            for text in hidden:
                words = words.replace(text, "***") if text else words
            raise Upstream(
                f"{self._name} gets no {self._what}: {self.url} answered {response.status}: {words}",
                todo=todo if isinstance(todo, str) else todo(raw),
            )
        return raw

    def read(self, raw: bytes, form: type[_S]) -> _S:
        """Return an answer in its form; raise Upstream for what is none, and say nothing of it."""
        try:
            return msgspec.json.decode(raw, type=form, strict=False)
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
            raise self.nothing() from None

    def nothing(self) -> Upstream:
        """Return the error for an answer that holds none."""
        return Upstream(f"{self._name} gets no {self._what}: {self.url} answered something that is none.")


def element(text: str, name: str) -> str:
    """Return the text of the first element of a name in XML that is as flat as Amazon's; empty where there is none."""
    found = re.search(rf"<{name}>([^<]*)</{name}>", text)
    return html.unescape(found[1]).strip() if found else ""


def _words(raw: bytes) -> str:
    """Return what a refusal says: OAuth's error and its description, Amazon's code and message, or whatever there is."""
    try:
        told = msgspec.json.decode(raw, type=_Refused)
        found = [told.error, told.error_description]
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
        text = raw.decode("utf-8", "replace")
        found = [element(text, "Code"), element(text, "Message")]
    return (": ".join(part for part in found if part) or said(raw)[0] or "no message")[:_MOST_WORDS]
