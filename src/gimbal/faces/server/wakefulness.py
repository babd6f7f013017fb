"""How quickly the machine's cores wake up while a process answers: `gateway.wake_us`, asked of Linux.

A core that has had nothing to do sleeps, on a virtual machine the whole core is given away meanwhile. Where calls come now and
then, waking up for each is a good part of what the gateway adds to it. Source: docs.kernel.org, "PM Quality of Service Interface".
"""

import contextlib
import logging
import struct
from collections.abc import Iterator
from pathlib import Path

_log = logging.getLogger(__name__)
DEVICE = Path("/dev/cpu_dma_latency")


@contextlib.contextmanager
def waking_within(wake_us: int | None, device: Path = DEVICE) -> Iterator[None]:
    """Ask that cores wake up within so many microseconds until the block ends; None asks nothing.

    Where that cannot be asked, the log says so, and the process works as without.
    """
    if wake_us is None:
        yield
        return
    try:
        # It holds for as long as the file is open, also where the process is killed.
        asked = device.open("wb", buffering=0)
    except OSError as problem:
        _log.warning(
            "gateway.wake_us has no effect: %s cannot be opened (%s); run as root on Linux, or give this user the device",
            device,
            problem.strerror,
        )
        yield
        return
    with asked:
        asked.write(struct.pack("=i", wake_us))
        yield
