"""Gets the text of a price book from where the settings say, within limits of time and size.

Only the address in the settings is asked, which the operator chose: https, or http on this machine. No redirect is
followed, so that nobody else chooses another.
"""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import msgspec

from gimbal.axis.pricing.overrides import KEPT
from gimbal.kernel.errors import BadInput, NotReady, Upstream
from gimbal.kernel.http import is_loopback
from gimbal.kernel.settings import PricesSettings, mask_password

_OK, _UNCHANGED = 200, 304


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What the source gave."""

    source: str
    """Its address, without a password."""
    text: str | None
    """The book; None where the source says that it is as before."""
    etag: str = ""


async def fetch(settings: PricesSettings, etag: str) -> Fetched:
    """Return the book of the settings; raise NotReady without one, Upstream when it cannot be had, BadInput for no text."""
    if settings.file:
        return await asyncio.to_thread(_read, Path(settings.file).expanduser(), settings.max_bytes)
    if settings.url:
        return await _get(settings, etag)
    raise NotReady(
        "No source of prices is set.",
        where="prices.url",
        kept=KEPT,
        todo="Set prices.url or prices.file, or give the text of a book with `gimbal prices take`.",
    )


def _read(path: Path, most: int) -> Fetched:
    try:
        with path.open("rb") as file:
            raw = file.read(most + 1)
    except (OSError, ValueError) as problem:
        raise _away(str(path), getattr(problem, "strerror", None) or str(problem)) from None
    return Fetched(source=str(path), text=_text(raw, str(path), most))


async def _get(settings: PricesSettings, etag: str) -> Fetched:
    shown, parts = mask_password(settings.url), urlsplit(settings.url)
    if not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))):
        raise BadInput(
            f"Prices are not read from {shown}: only https is, or http on this machine.",
            where="prices.url",
            kept=KEPT,
            todo="Give an address with https://.",
        )
    headers = {"accept": "application/toml, text/plain, */*", "accept-encoding": "identity"}
    if etag:
        headers["if-none-match"] = etag
    try:
        async with (
            asyncio.timeout(settings.timeout_s),
            httpx.AsyncClient(follow_redirects=False, timeout=settings.timeout_s) as client,
            client.stream("GET", settings.url, headers=headers) as reply,
        ):
            if reply.status_code == _UNCHANGED and etag:
                return Fetched(source=shown, text=None, etag=etag)
            if reply.status_code != _OK:
                moved = " and a redirect, which is not followed" if reply.is_redirect else ""
                raise _away(shown, f"it answered {reply.status_code}{moved}")
            raw = bytearray()
            async for chunk in reply.aiter_bytes():
                raw += chunk
                if len(raw) > settings.max_bytes:
                    break
            return Fetched(
                source=shown, text=_text(bytes(raw), shown, settings.max_bytes), etag=reply.headers.get("etag", "")
            )
    except TimeoutError:
        raise _away(shown, f"it took longer than {settings.timeout_s:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        raise _away(shown, str(problem) or type(problem).__name__) from None


def _text(raw: bytes, source: str, most: int) -> str:
    if len(raw) > most:
        raise BadInput(
            f"The price book is larger than {most} bytes.", where=source, kept=KEPT, todo="Raise prices.max_bytes."
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise BadInput("The price book is not UTF-8.", where=source, kept=KEPT, todo="Mend the file.") from None


def _away(source: str, reason: str) -> Upstream:
    return Upstream(
        f"The price book could not be had: {reason}.",
        where=source,
        kept=KEPT,
        todo="See that the address is right and answers; the next refresh tries again.",
    )
