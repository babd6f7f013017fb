"""Where HTTP services under evaluation may be, and which credentials may go to them.

Whoever may develop in a project can name an address, and the worker would call it from inside the operator's network. So
public addresses may be called, and no others, unless the operator lists them (`evals.http_hosts`): otherwise a project's
member could read what only machines beside the worker may, such as a cloud's metadata. On a local installation with a
single owner, who could call them just as well with any other program, this machine and private networks may be called
too; link-local addresses, where clouds tell their secrets, never without being listed. What is checked is the address
that is connected to, not the name, because a name may mean another address a moment later (DNS rebinding).

Credentials are variables of the worker's environment. Each goes to the one host that the operator says
(`evals.http_secrets`), so that nobody can have one sent to an address of theirs.
"""

import asyncio
import ipaddress
import os
import socket
from collections.abc import Mapping, Sequence

from gimbal.axis.evals.http.model import HttpManifest, parts_of, variables_of, with_variables
from gimbal.axis.projects.service import Projects
from gimbal.kernel.context import Context
from gimbal.kernel.errors import Forbidden, NotReady, Unavailable
from gimbal.kernel.http import is_loopback
from gimbal.kernel.settings import Settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_HIDDEN = 8
"""Characters of a credential that is looked for in answers."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # Source: RFC 6052.


async def check(ctx: Context, manifest: HttpManifest) -> None:
    """Raise Forbidden where a service may not be called, or a credential not be sent to it; nothing is sent.

    A host whose name means nothing now is left to the call.
    """
    parts = parts_of(manifest.url)
    host = parts.hostname or ""
    _check_secrets(ctx.get(Settings), manifest, host)
    try:
        await addresses(ctx, host, parts.port or 0)
    except Unavailable:
        return


async def addresses(ctx: Context, host: str, port: int) -> list[str]:
    """Return the addresses of a host that may be called; raise Forbidden where none may, Unavailable where it has none."""
    try:
        rows = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as problem:
        said = getattr(problem, "strerror", None) or str(problem)
        raise Unavailable(
            f"The name {host} is not known: {said}.", where="url", kept="nothing was sent", todo="Look at the address."
        ) from None
    found = list(dict.fromkeys(str(row[4][0]).partition("%")[0] for row in rows))
    listed = ctx.get(Settings).evals.http_hosts
    allowed = [text for text in found if _is_listed(host, text, listed) or _is_open(as_address(text), near=False)]
    if not allowed and await _single_owner(ctx):
        allowed = [text for text in found if _is_open(as_address(text), near=True)]
    if not allowed:
        raise Forbidden(
            f"{host} ({', '.join(found)}) is in a network that HTTP services are not called in.",
            where="url",
            kept="nothing was sent",
            todo=f"Use a public address, or let the operator list it: evals.http_hosts = [{host!r}].",
        )
    return allowed


def secrets_of(
    ctx: Context, manifest: HttpManifest, environ: Mapping[str, str] | None = None
) -> tuple[dict[str, str], list[str]]:
    """Return the headers with credentials, and all of these that nobody may see.

    Raise Forbidden for one that may not go to this host, NotReady for one that is not set.
    """
    _check_secrets(ctx.get(Settings), manifest, parts_of(manifest.url).hostname or "")
    # As a file has them, with a line break at the end, they could not be sent.
    known = {name: value.strip() for name, value in (os.environ if environ is None else environ).items()}
    hidden: list[str] = []
    for name, variables in variables_of(manifest).items():
        missing = next((variable for variable in variables if not known.get(variable)), None)
        if missing is not None:
            raise NotReady(
                f"The variable {missing} is not set here.",
                where=f"secrets.{name}",
                todo="Set it in the environment of the worker, and start it again.",
            )
        # To look for what is very short would hide half of an answer.
        hidden += [known[variable] for variable in variables if len(known[variable]) >= _HIDDEN]
    return {name: with_variables(text, known) for name, text in manifest.secrets.items()}, hidden


def _check_secrets(settings: Settings, manifest: HttpManifest, host: str) -> None:
    lent = {tuple(part.strip() for part in entry.split("=", 1)) for entry in settings.evals.http_secrets}
    for name, variables in variables_of(manifest).items():
        barred = next((variable for variable in variables if (variable, host.lower()) not in lent), None)
        if barred is not None:
            raise Forbidden(
                f"The variable {barred} may not be sent to {host}.",
                where=f"secrets.{name}",
                kept="nothing was sent",
                todo=f"Let the operator list it: evals.http_secrets = ['{barred}={host}'].",
            )


async def _single_owner(ctx: Context) -> bool:
    """Tell whether there is nobody but the local owner, by the rule by which the server lets one in without a key."""
    return is_loopback(ctx.get(Settings).server.host) and not await ctx.get(Projects).has_members()


def as_address(text: str) -> Address:
    """Return an address; one of version 4 that is wrapped in version 6 (mapped, 6to4, NAT64) as what it leads to."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return inner or address
    return address


def _is_open(address: Address, *, near: bool) -> bool:
    if address.is_link_local or address.is_multicast or (address.is_reserved and not address.is_loopback):
        return False
    return address.is_global or (near and (address.is_private or address.is_loopback))


def _is_listed(host: str, address: str, listed: Sequence[str]) -> bool:
    name = host.strip("[]").lower().removesuffix(".")
    return any(_fits(name, as_address(address), entry.strip().lower()) for entry in listed)


def _fits(name: str, address: Address, entry: str) -> bool:
    if entry.startswith("*."):
        return name.endswith(entry[1:])
    try:
        return address in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return name == entry
