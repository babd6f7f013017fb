"""NVIDIA's devices by NVML, where its Python package and a driver are there; nothing otherwise."""

import contextlib
import functools
import importlib
from collections.abc import Iterator
from typing import Any


@functools.cache
def _nvml() -> Any:
    """Return the package, ready; None where there is none or no driver."""
    try:
        found = importlib.import_module("pynvml")
        found.nvmlInit()
    except Exception:  # noqa: BLE001 - whatever keeps it from working, there is nothing to measure
        return None
    return found


def _devices(nvml: Any) -> Iterator[tuple[int, Any]]:
    """Yield place and handle of each device that answers; one that has fallen off its bus hides no other."""
    with contextlib.suppress(Exception):
        for place in range(nvml.nvmlDeviceGetCount()):
            with contextlib.suppress(Exception):
                yield place, nvml.nvmlDeviceGetHandleByIndex(place)


def gpus() -> list[dict[str, Any]]:
    """Return name and memory of each device."""
    found: list[dict[str, Any]] = []
    if (nvml := _nvml()) is None:
        return found
    for _, device in _devices(nvml):
        with contextlib.suppress(Exception):
            total = nvml.nvmlDeviceGetMemoryInfo(device).total
            driver = str(nvml.nvmlSystemGetDriverVersion())
            found.append({"name": str(nvml.nvmlDeviceGetName(device)), "memory_bytes": total, "driver": driver})
    return found


def readings() -> dict[str, float]:
    """Return use, memory, temperature and power of each device now; what a device does not tell is left out."""
    found: dict[str, float] = {}
    if (nvml := _nvml()) is None:
        return found
    for place, device in _devices(nvml):
        at = f"system/gpu/{place}/"
        with contextlib.suppress(Exception):
            found[at + "use_percent"] = float(nvml.nvmlDeviceGetUtilizationRates(device).gpu)
        with contextlib.suppress(Exception):
            memory = nvml.nvmlDeviceGetMemoryInfo(device)
            found[at + "memory_percent"] = 100.0 * memory.used / memory.total
            found[at + "memory_bytes"] = float(memory.used)
        with contextlib.suppress(Exception):
            heat = nvml.nvmlDeviceGetTemperature(device, nvml.NVML_TEMPERATURE_GPU)
            found[at + "temperature_celsius"] = float(heat)
        with contextlib.suppress(Exception):
            found[at + "power_watts"] = nvml.nvmlDeviceGetPowerUsage(device) / 1000.0
    return found
