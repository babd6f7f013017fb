"""Tokens of Microsoft Entra for Azure: by a client's secret, by the machine's own identity, or by a federated token."""

import asyncio
import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from gimbal.engines.http.model import Client
from gimbal.generative.gateway.credentials.secret import Secret
from gimbal.generative.gateway.providers.upstreams.identities import text_of
from gimbal.generative.gateway.providers.upstreams.renewing import FORM, Desk, Given, Lent, Renewing
from gimbal.kernel.errors import ConfigurationError
from gimbal.kernel.settings_gateway import ProviderSettings

_AUTHORITY = "https://login.microsoftonline.com"
_METADATA = "http://169.254.169.254"
_RESOURCE = "https://cognitiveservices.azure.com"
_ASSERTED = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
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
        url = settings.token_url or f"{_AUTHORITY}/{settings.tenant}/oauth2/v2.0/token"
        self._desk = Desk(client, url, name=settings.name, what="token of Entra", where="token_url")

    async def fetch(self) -> Lent[str]:
        """Return another token; raise Upstream where none is given."""
        asked = self._now()
        form = {
            "grant_type": "client_credentials",
            "client_id": self._settings.client_id,
            "scope": f"{_RESOURCE}/.default",
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
        query = f"api-version=2018-02-01&resource={quote(_RESOURCE, safe='')}"
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
            todo="Check that this machine is one of Azure's and has an identity; of several, name one by client_id.",
        )
        given = self._desk.read(raw, Given)
        return Lent(given.access_token, asked + given.expires_in)


def entra(settings: ProviderSettings, key: Secret, client: Client) -> Renewing[str]:
    """Return what gives tokens by the identity of the settings."""
    return ManagedTokens(settings, client) if settings.identity == "managed" else EntraTokens(settings, key, client)


def _todo(raw: bytes) -> str:
    found = _CODE.search(raw)
    usual = "Check tenant, client_id and the secret or the federated token."
    return _TODO.get(found[0], usual) if found else usual
