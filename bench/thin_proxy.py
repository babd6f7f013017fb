"""The thinnest proxy that our HTTP server and client make: bytes in, bytes on, nothing looked at. The limit of this stack."""

import os
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn

from gimbal.engines.http.model import Deadlines, Origin
from gimbal.engines.http.raw import RawClient
from gimbal.faces.server.patience import PatientProtocol

Message = MutableMapping[str, Any]
_OWN = frozenset({b"host", b"content-length", b"connection"})
_client, _deadlines = RawClient(), Deadlines()
_origin = Origin("http", "127.0.0.1", int(os.environ.get("UPSTREAM", "0")))


async def proxy(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Send a request on, and its answer back."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers = [pair for pair in scope["headers"] if pair[0] not in _OWN]
    answer = await _client.send(b"POST", _origin, scope["raw_path"], headers, body, deadlines=_deadlines)
    whole = await answer.read(1 << 20)
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": whole})


if __name__ == "__main__":
    uvicorn.run(
        proxy, host="127.0.0.1", port=int(sys.argv[1]), lifespan="off", log_config=None, access_log=False,
        server_header=False, loop="uvloop", http=PatientProtocol,
    )  # fmt: skip
