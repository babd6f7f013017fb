"""What is asked of the kernel about cores that sleep: while the block runs, and with a word in the log where it cannot be asked."""

import logging
import os
import struct
from pathlib import Path

import pytest

from gimbal.faces.server.wakefulness import DEVICE, refusal, waking_within


def held(device: Path) -> bool:
    """Tell whether this process has a file open."""
    files = Path("/proc/self/fd")
    return any(file.readlink() == device for file in files.iterdir() if file.is_symlink())


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="what is open is told by Linux")
def test_it_is_asked_until_the_end(tmp_path: Path) -> None:
    """As a whole number of four bytes, in a file that stays open: so the kernel wants it."""
    device = tmp_path / "latency"
    device.touch()

    with waking_within(250, device):
        assert held(device)
        assert struct.unpack("=i", device.read_bytes()) == (250,)

    assert not held(device)


def test_unset_asks_nothing(tmp_path: Path) -> None:
    device = tmp_path / "latency"
    device.touch()

    with waking_within(None, device):
        assert device.read_bytes() == b""


def test_where_it_cannot_be_asked_work_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log says what was not done, and what to do; no file is left where the kernel has no such device."""
    worked = False
    device = tmp_path / "latency"
    with caplog.at_level(logging.WARNING), waking_within(0, device):
        worked = True

    assert worked
    assert refusal(device) == "No such file or directory"
    assert not device.exists()
    assert "gateway.wake_us has no effect" in caplog.text
    assert "No such file" in caplog.text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that takes nothing is Linux's")
def test_where_it_is_not_taken_work_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """A device that can be opened may refuse what is written."""
    worked = False
    with caplog.at_level(logging.WARNING), waking_within(0, Path("/dev/full")):
        worked = True

    assert worked
    assert "gateway.wake_us has no effect" in caplog.text


@pytest.mark.skipif(
    bool(refusal()) or not os.access(DEVICE, os.R_OK), reason="this machine's kernel is not asked by this user"
)
def test_the_kernel_takes_it() -> None:
    """It tells the strictest wish of all processes."""

    def strictest() -> int:
        with DEVICE.open("rb", buffering=0) as device:
            return struct.unpack("=i", device.read(4))[0]

    before = strictest()
    with waking_within(7):
        assert strictest() == min(7, before)
