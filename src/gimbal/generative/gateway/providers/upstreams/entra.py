"""Tokens of Microsoft Entra for Azure: by a client's secret, by the own identity of a machine or an app, or by a federated token.

Each of Microsoft's clouds has a host of Entra and a name for the service of its own; the resource's address tells which it is.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from gimbal.engines.http.model import Client
from gimbal.generative.gateway.credentials.secret import Secret
from gimbal.generative.gateway.providers.upstreams.addressing import authority
from gimbal.generative.gateway.providers.upstreams.identities import text_of
from gimbal.generative.gateway.providers.upstreams.renewing import FORM, Desk, Given, Lent, Renewing
from gimbal.kernel.errors import ConfigurationError
from gimbal.kernel.settings_gateway import ProviderSettings

_METADATA = "http://169.254.169.254"
_ASSERTED = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_SCOPE = re.compile(r"[!-~]{1,300}")
_TENANT = re.compile(r"[A-Za-z0-9.-]{1,120}", re.ASCII)
_CODE = re.compile(rb"AADSTS\d+")
_TODO: Mapping[bytes, str] = {
    b"AADSTS7000215": "Give the secret's value, not its id.",
    b"AADSTS7000222": "The secret has expired: make another one in Entra and give it as the key.",
    b"AADSTS700016": "There is no such client in that tenant: check client_id and tenant.",
    b"AADSTS90002": "There is no such tenant: check tenant.",
    b"AADSTS900023": "That is no tenant: give its id or its domain.",
    b"AADSTS70021": "Add a federated credential to the client whose issuer, subject and audience are those of the token.",
    b"AADSTS700213": "Add a federated credential to the client whose issuer, subject and audience are those of the token.",
    b"AADSTS700024": "The federated token is not valid now: check that it is renewed, and that this clock is right.",
}


class _Cloud(NamedTuple):
    ending: str
    """Of its resources' hosts."""
    authorities: tuple[str, ...]
    resource: str


_PUBLIC = _Cloud(".azure.com", ("https://login.microsoftonline.com",), "https://cognitiveservices.azure.com")
_CLOUDS = (
    _Cloud(".azure.us", ("https://login.microsoftonline.us",), "https://cognitiveservices.azure.us"),
    _Cloud(
        ".azure.cn",
        ("https://login.chinacloudapi.cn", "https://login.partner.microsoftonline.cn"),
        "https://cognitiveservices.azure.cn",
    ),
    _PUBLIC,
)


class _Lasting(msgspec.Struct, frozen=True, kw_only=True):
    """A token as an app is given it: with the moment of its end."""

    access_token: str
    expires_on: float
    """Seconds since 1970."""

    def __repr__(self) -> str:
        return "_Lasting(***)"


class EntraTokens(Renewing[str]):
    """The tokens of one client of Entra."""

    def __init__(self, settings: ProviderSettings, key: Secret, client: Client) -> None:
        super().__init__(settings.name)
        if not _TENANT.fullmatch(settings.tenant):
            raise ConfigurationError(
                f"The tenant of the provider {settings.name!r} cannot be one.",
                where="tenant",
                todo="Give the id of the directory, or its domain.",
            )
        self._settings = settings
        self._secret = key
        host = authority(settings.authority_host) if settings.authority_host else _cloud(settings).authorities[0]
        url = settings.token_url or f"{host}/{settings.tenant}/oauth2/v2.0/token"
        self._resource = _resource(settings)
        where = "token_url" if settings.token_url else "authority_host"
        self._desk = Desk(client, url, name=settings.name, what="token of Entra", where=where)

    async def fetch(self) -> Lent[str]:
        """Return another token; raise Upstream where none is given."""
        asked = self._now()
        form = {
            "grant_type": "client_credentials",
            "client_id": self._settings.client_id,
            "scope": f"{self._resource}/.default",
        }
        proof = self._secret.reveal()
        if self._settings.identity == "workload":
            # It is written anew every hour or so.
            path = self._settings.identity_file
            proof = await asyncio.to_thread(text_of, path, name=self.name, where="identity_file")
            form |= {"client_assertion_type": _ASSERTED, "client_assertion": proof}
        else:
            form["client_secret"] = proof
        raw = await self._desk.ask(b"POST", "", [FORM], urlencode(form).encode(), todo=_todo, hidden=[proof])
        given = self._desk.read(raw, Given)
        return Lent(given.access_token, asked + given.expires_in)


class ManagedTokens(Renewing[str]):
    """The tokens of a machine's identity, which its metadata service gives."""

    def __init__(self, settings: ProviderSettings, client: Client) -> None:
        super().__init__(settings.name)
        url = settings.metadata_url or _METADATA
        self._desk = Desk(client, url, name=settings.name, what="token of this machine", where="metadata_url")
        query = f"api-version=2018-02-01&resource={quote(_resource(settings), safe='')}"
        if settings.client_id:
            query += f"&client_id={quote(settings.client_id, safe='')}"
        self._query = query

    async def fetch(self) -> Lent[str]:
        """Return another token; raise Upstream where none is given."""
        asked = self._now()
        raw = await self._desk.ask(
            b"GET",
            f"/metadata/identity/oauth2/token?{self._query}",
            [(b"metadata", b"true")],
            todo="Check that this machine is one of Azure's and has an identity; of several, name one by client_id. In App "
            "Service, Functions and Container Apps the identity is app_service.",
        )
        given = self._desk.read(raw, Given)
        return Lent(given.access_token, asked + given.expires_in)


class AppTokens(Renewing[str]):
    """The tokens of an app's identity, which App Service, Functions and Container Apps give beside the app."""

    def __init__(self, settings: ProviderSettings, key: Secret, client: Client) -> None:
        super().__init__(settings.name)
        url = settings.metadata_url
        self._secret = key
        self._desk = Desk(client, url, name=settings.name, what="token of this app", where="metadata_url")
        # Its address is taken as it is given, with or without a slash at its end.
        begin = "/?" if url.endswith("/") or self._desk.target == b"/" else "?"
        self._path = f"{begin}api-version=2019-08-01&resource={quote(_resource(settings), safe='')}"
        if settings.client_id:
            self._path += f"&client_id={quote(settings.client_id, safe='')}"

    async def fetch(self) -> Lent[str]:
        """Return another token; raise Upstream where none is given."""
        proof = self._secret.reveal()
        raw = await self._desk.ask(
            b"GET",
            self._path,
            [(b"x-identity-header", proof.encode())],
            todo="Check that the app has an identity; of several, name one by client_id.",
            hidden=[proof],
        )
        given = self._desk.read(raw, _Lasting)
        return Lent(given.access_token, given.expires_on)


def entra(settings: ProviderSettings, key: Secret, client: Client) -> Renewing[str]:
    """Return what gives tokens by the identity of the settings."""
    if settings.identity == "managed":
        return ManagedTokens(settings, client)
    if settings.identity == "app_service":
        return AppTokens(settings, key, client)
    return EntraTokens(settings, key, client)


def _cloud(settings: ProviderSettings) -> _Cloud:
    """Return the cloud that the resource is in; what has another address is in that of the host of Entra, else the public one."""
    host = urlsplit(settings.base_url).hostname or ""
    asked = authority(settings.authority_host)
    for cloud in _CLOUDS:
        if host.endswith(cloud.ending):
            return cloud
    return next((cloud for cloud in _CLOUDS if asked in cloud.authorities), _PUBLIC)


def _resource(settings: ProviderSettings) -> str:
    """Return for whom tokens are; raise ConfigurationError for what cannot be that."""
    found = (settings.token_scope or _cloud(settings).resource).removesuffix("/.default")
    if not _SCOPE.fullmatch(found):
        raise ConfigurationError(
            f"The token_scope of the provider {settings.name!r} cannot be one.",
            where="token_scope",
            todo="Write it like https://cognitiveservices.azure.us, or leave it out.",
        )
    return found


def _todo(raw: bytes) -> str:
    found = _CODE.search(raw)
    usual = "Check tenant, client_id and the secret or the federated token."
    return _TODO.get(found[0], usual) if found else usual
