"""Who is asking: keys from the headers of every dialect, the console's cookie, and local-owner mode.

Every route needs a credential but the few that its table marks OPEN. On a loopback address with no members there is
one local owner who needs none; there Host and Origin are checked, so that no web page can act as the owner.
"""

import base64
import binascii
from collections.abc import Mapping

from gimbal.axis.projects.service import Projects
from gimbal.faces.server.exchange import Exchange
from gimbal.kernel.context import NOBODY, Principal
from gimbal.kernel.errors import Forbidden, NotAuthenticated
from gimbal.kernel.http import is_loopback
from gimbal.kernel.settings import Settings

COOKIE = "gimbal_key"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_PLACEHOLDERS = frozenset({"none", "local", "unused", "gimbal"})
# Clients of each dialect put the key where their vendor wants it.
_KEY_HEADERS = ("x-api-key", "api-key", "x-gimbal-key", "wandb-api-key")
_OURS = "gk_"


def host_name(header: str) -> str:
    """Return the name in a Host header without its port."""
    if header.startswith("["):
        return header.partition("]")[0] + "]"
    return header.partition(":")[0].lower()


def header_secret(headers: Mapping[str, str]) -> str:
    """Return the secret in the headers of any dialect, by lower-case name, or an empty text."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return value
        # Where a vendor has a public and a secret key, ours may stand in either place.
        return user if user.startswith(_OURS) and not password.startswith(_OURS) else password or user
    if not value and scheme.startswith(_OURS):
        # Some vendors' clients send the bare key.
        return scheme
    return next((headers[name].strip() for name in _KEY_HEADERS if headers.get(name)), "")


def cookie_secret(exchange: Exchange) -> str:
    """Return the key that the console keeps in its cookie, or an empty text."""
    # Not the standard library's reader: it gives up at the first odd cookie that another program set on this host.
    pairs = (part.strip().partition("=") for part in exchange.headers.get("cookie", "").split(";"))
    return next((value.strip('"') for name, _, value in pairs if name == COOKIE), "")


class Access:
    """Decides who is asking."""

    def __init__(self, settings: Settings, projects: Projects) -> None:
        self._settings = settings
        self._projects = projects
        self._loopback = is_loopback(settings.server.host)
        self._hosts = {settings.server.host.lower(), *(h.lower() for h in settings.server.allowed_hosts)}

    async def principal(self, exchange: Exchange) -> Principal:
        """Return who is asking; raise NotAuthenticated for a bad key, Forbidden for a foreign Host or Origin."""
        secret = header_secret(exchange.headers)
        if secret and not self._is_placeholder(secret):
            return await self._projects.authenticate(secret)
        # A browser sends its cookie, and on loopback its bare request, for any page that asks it to; a page can also
        # put a placeholder into a header.
        self._check_browser(exchange)
        owner = await self._owner(exchange.client)
        cookie = cookie_secret(exchange)
        if not cookie:
            return owner
        try:
            return await self._projects.authenticate(cookie)
        except NotAuthenticated:
            # Browsers share cookies between all ports of a host: this one may be of another installation.
            if owner is NOBODY:
                raise
            return owner

    async def of_secret(self, secret: str) -> Principal:
        """Return who a secret belongs to; without one the local owner on loopback, or nobody."""
        if secret and not self._is_placeholder(secret):
            return await self._projects.authenticate(secret)
        return await self._owner("")

    async def _owner(self, client: str) -> Principal:
        """Return the local owner where there is one for a caller at this address, else nobody."""
        # A proxy on this machine hands on callers of other machines, by their own address (X-Forwarded-For).
        near = self._loopback and (not client or is_loopback(client))
        return self._projects.local_owner() if near and not await self._projects.has_members() else NOBODY

    def _is_placeholder(self, secret: str) -> bool:
        # Vendor clients insist on some key; on loopback people write "none", "local" or "unused" there.
        return self._loopback and secret in _PLACEHOLDERS

    def _check_browser(self, exchange: Exchange) -> None:
        name = host_name(exchange.headers.get("host", ""))
        if not (name in self._hosts or is_loopback(name)) and self._loopback:
            raise Forbidden(
                f"The host name {name!r} is not one that this server answers to.",
                where="Host",
                todo="Open it by its address, or add the name to server.allowed_hosts.",
            )
        if exchange.method in _SAFE:
            return
        origin = exchange.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != exchange.headers.get("host", ""):
            raise Forbidden(
                f"A page from {origin} may not act here.", where="Origin", todo="Use the console itself or a key."
            )
        if exchange.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            raise Forbidden("Another site may not act here.", where="Sec-Fetch-Site", todo="Use the console itself.")
