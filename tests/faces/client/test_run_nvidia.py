"""NVIDIA's devices, read by NVIDIA's own package from a driver's library that a C compiler makes here: no device is needed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# Three devices: one tells all, one neither its heat nor its power (3: not supported), one has fallen off its bus (15).
DRIVER = r"""
#include <stdint.h>
#include <string.h>
typedef uintptr_t device;
int nvmlInitWithFlags(unsigned flags) { return 0; }
int nvmlSystemGetDriverVersion(char *to, unsigned size) { strcpy(to, "590.1"); return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 3; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned place, device *to) { *to = place + 1; return place == 1 ? 15 : 0; }
int nvmlDeviceGetName(device of, char *to, unsigned size) { strcpy(to, of == 1 ? "Large" : "Small"); return 0; }
int nvmlDeviceGetUtilizationRates(device of, unsigned *to) { to[0] = of == 1 ? 87 : 0; to[1] = 12; return 0; }
int nvmlDeviceGetMemoryInfo(device of, unsigned long long *to) {
  to[0] = of == 1 ? 80000 : 4000; to[2] = of == 1 ? 20000 : 0; to[1] = to[0] - to[2]; return 0;
}
int nvmlDeviceGetTemperature(device of, unsigned sensor, unsigned *to) { *to = 61; return of == 1 && sensor == 0 ? 0 : 3; }
int nvmlDeviceGetPowerUsage(device of, unsigned *to) { *to = 312500; return of == 1 ? 0 : 3; }
"""
ASKED = """
import json
from gimbal.faces.client.nvidia import gpus, readings
from gimbal.faces.client.run_system import Machine
measured = Machine().measure()
print(json.dumps([gpus(), readings(), {name: value for name, value in measured.items() if "/gpu/" in name}]))
"""


def told(folder: Path) -> Any:
    """Return what a process says whose system has the libraries of a folder."""
    environment = {**os.environ, "LD_LIBRARY_PATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", ASKED], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return json.loads(done.stdout)


@pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="no C compiler for a driver's library"
)
def test_devices_are_measured_each_by_what_it_tells(tmp_path: Path) -> None:
    """In percent, bytes, degrees and watts; what a device does not tell is missing and not 0, and hides nothing else."""
    (tmp_path / "driver.c").write_text(DRIVER)
    library = tmp_path / "libnvidia-ml.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "driver.c"], check=True, timeout=60)

    devices, now, measured = told(tmp_path)

    assert devices == [
        {"name": "Large", "memory_bytes": 80000, "driver": "590.1"},
        {"name": "Small", "memory_bytes": 4000, "driver": "590.1"},
    ]
    assert now == {
        "system/gpu/0/use_percent": 87.0,
        "system/gpu/0/memory_percent": 25.0,
        "system/gpu/0/memory_bytes": 20000.0,
        "system/gpu/0/temperature_celsius": 61.0,
        "system/gpu/0/power_watts": 312.5,
        "system/gpu/2/use_percent": 0.0,
        "system/gpu/2/memory_percent": 0.0,
        "system/gpu/2/memory_bytes": 0.0,
    }
    assert measured == now


@pytest.mark.skipif(sys.platform != "linux", reason="where a library is looked for is told as Linux is told")
def test_a_driver_that_cannot_be_loaded_is_none(tmp_path: Path) -> None:
    """Nothing fails where there is nothing to ask; what this machine has of its own is not reached."""
    (tmp_path / "libnvidia-ml.so.1").write_bytes(b"")

    assert told(tmp_path) == [[], {}, {}]
