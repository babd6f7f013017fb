"""The columns of a server that a bar started, opened as its own worker opens them."""

import msgspec
import psutil

from gimbal.engines.storage.columns import Columns
from gimbal.faces.server.supervisor import Link


async def server_columns(url: str) -> Columns:
    """Open the embedded columns of the Gimbal at `url` over its loopback endpoint."""
    port = int(url.rpartition(":")[2])
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "--port" in words and str(port) in words:
            child = process.children()[0]
            link = msgspec.json.decode(child.environ()["GIMBAL_LINK"], type=Link)
            return await Columns.open(f"http://gimbal@127.0.0.1:{link.columns_port}", password=link.token)
    message = f"no Gimbal at {url}"
    raise RuntimeError(message)
