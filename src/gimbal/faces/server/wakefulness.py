"""How quickly the machine's cores wake up while a process answers: `gateway.wake_us`, asked of Linux.

A core that has had nothing to do sleeps; on a virtual machine the whole core is given away meanwhile. Where calls come now and
then, waking up for each is a good part of what the gateway adds to it. Source: docs.kernel.org, "PM Quality of Service Interface".
"""

import contextlib
import logging
import os
import struct
from collections.abc import Iterator
from pathlib import Path

DEVICE = Path("/dev/cpu_dma_latency")
_log = logging.getLogger(__name__)


@contextlib.contextmanager
def waking_within(wake_us: int | None, device: Path = DEVICE) -> Iterator[None]:
    """Ask that cores wake up within `wake_us` microseconds for as long as this lasts; None asks nothing.

    Where it cannot be asked, the log says so and work goes on as the system has it.
    """
    if wake_us is None:
        yield
        return
    with contextlib.ExitStack() as asked:
        try:
            # It holds for as long as the file is open, and no longer where the process is killed.
            os.write(asked.enter_context(_opened(device)), struct.pack("=i", wake_us))
        except OSError as problem:
            _log.warning(
                "gateway.wake_us has no effect: %s cannot be written (%s); run as root on Linux, or give this user the device",
                device,
                problem.strerror,
            )
        yield


def refusal(device: Path = DEVICE) -> str:
    """Return why this process cannot ask; empty where it can."""
    try:
        with _opened(device):
            return ""
    except OSError as problem:
        return problem.strerror or str(problem)


@contextlib.contextmanager
def _opened(device: Path) -> Iterator[int]:
    """Open it to write, and never make it: root would leave a file where a kernel has no such device."""
    descriptor = os.open(device, os.O_WRONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
