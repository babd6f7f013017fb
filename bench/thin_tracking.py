"""The quickest tracking server there can be: it keeps nothing and answers at once. What is left is MLflow's client itself."""

import asyncio
import json
import sys
from typing import Any

import uvloop

_RUN = {
    "run": {
        "info": {
            "run_id": "0" * 32, "run_uuid": "0" * 32, "experiment_id": "1", "status": "RUNNING", "run_name": "thin",
            "start_time": 1, "lifecycle_stage": "active", "artifact_uri": "mlflow-artifacts:/1/0/artifacts", "user_id": "u",
        },
        "data": {},
    }
}  # fmt: skip
_ANSWERS = {
    b"experiments/create": {"experiment_id": "1"},
    b"runs/create": _RUN,
    b"runs/get": _RUN,
    b"runs/update": {"run_info": _RUN["run"]["info"]},
}


def _packed(status: bytes, tree: object) -> bytes:
    body = json.dumps(tree).encode()
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(body))
    return head + body


_WHOLE = {path: _packed(b"200 OK", tree) for path, tree in _ANSWERS.items()}
_EMPTY, _NONE = _packed(b"200 OK", {}), _packed(b"404 Not Found", {"error_code": "ENDPOINT_NOT_FOUND", "message": ""})


class Thin(asyncio.Protocol):
    """Reads a request to its end and answers from memory."""

    def connection_made(self, transport: Any) -> None:
        """Keep where answers go."""
        self._transport, self._buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer what is whole."""
        self._buffer += data
        head, ended, rest = self._buffer.partition(b"\r\n\r\n")
        if not ended:
            return
        size = head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]
        if len(rest) < int(size or 0):
            return
        self._buffer = b""
        path = head.split(b" ", 2)[1].partition(b"?")[0]
        found = next((answer for end, answer in _WHOLE.items() if path.endswith(end)), None)
        logs = path.endswith((b"runs/log-metric", b"runs/log-batch", b"/health"))
        self._transport.write(found or (_EMPTY if logs else _NONE))


async def main(port: int) -> None:
    """Serve until ended."""
    server = await asyncio.get_running_loop().create_server(Thin, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
