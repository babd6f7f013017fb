"""Tokens of Google Cloud: a service account signs who it is, and Google gives a token for an hour for it.

One token a provider, kept until shortly before it ends; whoever needs one while it is being fetched waits for that one.
"""

import asyncio
import base64
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gimbal.engines.http.model import Client, Deadlines, Origin
from gimbal.generative.gateway.providers.upstreams.refusals import said
from gimbal.kernel.errors import ConfigurationError, GimbalError, Upstream

TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFE_S = 3600
_EARLY_S = 120.0
"""Seconds before its end from which another token is fetched."""
_LAST_S = 10.0
"""Seconds before its end from which it is not used any more."""
_PAUSE_S = 5.0
"""Seconds after a failure for which a token that is still good is used without another attempt."""
_DEADLINES = Deadlines(connect_s=5.0, first_byte_s=10.0, between_s=10.0, total_s=15.0)
_MOST_BYTES = 64 * 1024


class ServiceAccount(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed of the JSON file of a service account."""

    client_email: str
    private_key: str
    private_key_id: str = ""
    project_id: str = ""

    def __repr__(self) -> str:
        """Name it, without its key."""
        return f"ServiceAccount({self.client_email!r})"


class _Given(msgspec.Struct, frozen=True, kw_only=True):
    access_token: str
    expires_in: float = _LIFE_S


def service_account(text: str, name: str) -> ServiceAccount:
    """Read the JSON of a service account; raise ConfigurationError, which says nothing of what it holds."""
    try:
        return msgspec.json.decode(text, type=ServiceAccount)
    except (msgspec.DecodeError, msgspec.ValidationError):
        raise ConfigurationError(
            f"The key of the provider {name!r} is not the JSON of a service account.",
            where="key",
            todo="Give the file as Google Cloud made it, with client_email and private_key.",
        ) from None


class Tokens:
    """The tokens of one service account."""

    def __init__(
        self,
        account: ServiceAccount,
        client: Client,
        origin: Origin,
        path: str,
        *,
        name: str,
        url: str = TOKEN_URL,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._account = account
        self._client = client
        self._origin, self._path = origin, path
        self._name = name
        self._url = url
        self._now = now
        self._key = _private_key(account, name)
        self._token = ""
        self._until = 0.0
        self._ends = 0.0
        self._fetching: asyncio.Task[None] | None = None

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """What must not be shown."""
        return (self._token.encode(),) if self._token else ()

    async def token(self) -> str:
        """Return a token that is good for two minutes at least; raise Upstream when none is given.

        While none is given, the one before is good until it ends.
        """
        if self._now() < self._until:
            return self._token
        task = self._fetching
        if task is None:
            task = self._fetching = asyncio.create_task(self._fetch(), name=f"token of {self._name}")
            task.add_done_callback(self._fetched)
        try:
            # Whoever waits and goes away takes nothing from the others.
            await asyncio.shield(task)
        except GimbalError:
            if self._now() >= self._ends:
                raise
        return self._token

    def forget(self, token: str) -> None:
        """Fetch another one the next time: this one was refused."""
        if token == self._token:
            self._until = self._ends = 0.0

    def _fetched(self, task: asyncio.Task[None]) -> None:
        self._fetching = None
        # Those who waited were told.
        if not task.cancelled() and task.exception() is not None:
            self._until = min(self._ends, self._now() + _PAUSE_S)

    async def _fetch(self) -> None:
        signed = self._signed()
        body = urlencode({"grant_type": _GRANT, "assertion": signed}).encode()
        headers = [(b"content-type", b"application/x-www-form-urlencoded"), (b"user-agent", b"gimbal")]
        asked = self._now()
        response = await self._client.send(
            b"POST", self._origin, self._path.encode(), headers, body, deadlines=_DEADLINES
        )
        try:
            raw = await response.read(_MOST_BYTES)
        finally:
            await response.aclose()
        if response.status != 200:
            raise Upstream(
                f"{self._name} gets no token: {self._url} answered {response.status}: {said(raw)[0] or 'no message'}",
                todo=f"Check that {self._account.client_email} exists, its key is not revoked, and this clock is right.",
            )
        try:
            given = msgspec.json.decode(raw, type=_Given)
        except (msgspec.DecodeError, msgspec.ValidationError):
            raise Upstream(f"{self._name} gets no token: {self._url} answered something that is none.") from None
        self._token = given.access_token
        self._until = asked + max(given.expires_in - _EARLY_S, 0.0)
        self._ends = asked + max(given.expires_in - _LAST_S, 0.0)

    def _signed(self) -> str:
        now = int(self._now())
        head: dict[str, Any] = {"alg": "RS256", "typ": "JWT"}
        if self._account.private_key_id:
            head["kid"] = self._account.private_key_id
        claims = {
            "iss": self._account.client_email,
            "scope": _SCOPE,
            "aud": self._url,
            "iat": now,
            "exp": now + _LIFE_S,
        }
        text = f"{_part(msgspec.json.encode(head))}.{_part(msgspec.json.encode(claims))}"
        return f"{text}.{_part(self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _private_key(account: ServiceAccount, name: str) -> rsa.RSAPrivateKey:
    try:
        key = load_pem_private_key(account.private_key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ConfigurationError(
            f"The private key in the service account of the provider {name!r} cannot be read.",
            where="key",
            todo="Give the file as Google Cloud made it.",
        )
    return key


def _part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
