"""Tokens of Google Cloud: a service account signs who it is, and Google gives a token for an hour for it."""

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

from gimbal.engines.http.model import Client
from gimbal.generative.gateway.providers.upstreams.renewing import FORM, Desk, Given, Lent, Renewing
from gimbal.kernel.errors import ConfigurationError

TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFE_S = 3600


class ServiceAccount(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed of the JSON file of a service account."""

    client_email: str
    private_key: str
    private_key_id: str = ""
    project_id: str = ""

    def __repr__(self) -> str:
        """Name it, without its key."""
        return f"ServiceAccount({self.client_email!r})"


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


class Tokens(Renewing[str]):
    """The tokens of one service account."""

    def __init__(
        self,
        account: ServiceAccount,
        client: Client,
        *,
        name: str,
        url: str = TOKEN_URL,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(name, now=now)
        self._account = account
        self._desk = Desk(client, url, name=name, what="token", where="token_url")
        self._key = _private_key(account, name)

    async def fetch(self) -> Lent[str]:
        """Return another token; raise Upstream where none is given."""
        body = urlencode({"grant_type": _GRANT, "assertion": self._signed()}).encode()
        asked = self._now()
        todo = f"Check that {self._account.client_email} exists, its key is not revoked, and this clock is right."
        raw = await self._desk.ask(b"POST", "", [FORM], body, todo=todo)
        given = self._desk.read(raw, Given)
        return Lent(given.access_token, asked + given.expires_in)

    def _signed(self) -> str:
        now = int(self._now())
        head: dict[str, Any] = {"alg": "RS256", "typ": "JWT"}
        if self._account.private_key_id:
            head["kid"] = self._account.private_key_id
        claims = {
            "iss": self._account.client_email,
            "scope": _SCOPE,
            "aud": self._desk.url,
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
