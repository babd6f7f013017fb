"""From the name of a host to a socket that is connected: its addresses are tried one after the other, each with a head start.

Neither asyncio's nor uvloop's `create_connection` does that for all of our versions, and one address that swallows
packets would cost the whole deadline.
"""

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any

# Source: RFC 8305, section 5: the next address is tried when the one before has not answered for so long.
_HEAD_START_S = 0.25
# Firewalls forget connections that are silent; some models think for minutes.
_PROBE_S = 60

_Address = tuple[int, int, int, str, Any]


async def dial(host: str, port: int) -> socket.socket:
    """Return a connected socket; raise OSError with the reason of the last address that was tried."""
    loop = asyncio.get_running_loop()
    addresses = _by_turns(await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    if len(addresses) == 1:
        return await _connected(addresses[0])
    pending: set[asyncio.Task[socket.socket]] = set()
    problem: BaseException = OSError(f"{host} has no address")
    try:
        while addresses or pending:
            if addresses:
                pending.add(asyncio.ensure_future(_connected(addresses.pop(0))))
            done, pending = await asyncio.wait(
                pending, timeout=_HEAD_START_S if addresses else None, return_when=asyncio.FIRST_COMPLETED
            )
            made = [one.result() for one in done if one.exception() is None]
            if made:
                for late in made[1:]:
                    late.close()
                return made[0]
            problem = next((reason for one in done if (reason := one.exception())), problem)
        raise problem
    finally:
        for attempt in pending:
            attempt.cancel()
            attempt.add_done_callback(_forget)


def _forget(attempt: asyncio.Task[socket.socket]) -> None:
    """Close what came through when it was too late."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()


def _by_turns(found: Sequence[_Address]) -> list[_Address]:
    """Return addresses of both families by turns, in the order of the resolver otherwise."""
    first = found[0][0]
    same = [one for one in found if one[0] == first]
    other = [one for one in found if one[0] != first]
    return [one for one in chain.from_iterable(zip_longest(same, other)) if one is not None]


async def _connected(address: _Address) -> socket.socket:
    family, kind, protocol, _, place = address
    made = socket.socket(family, kind, protocol)
    try:
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        with contextlib.suppress(AttributeError, OSError):
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _PROBE_S)
        await asyncio.get_running_loop().sock_connect(made, place)
    except BaseException:
        made.close()
        raise
    return made
