"""NVIDIA's devices by NVML, where its Python package and a driver are there; nothing otherwise."""

import contextlib
import functools
import importlib
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


def _devices(nvml: Any) -> list[Any]:
    return [nvml.nvmlDeviceGetHandleByIndex(place) for place in range(nvml.nvmlDeviceGetCount())]


def gpus() -> list[dict[str, Any]]:
    """Return name and memory of each device."""
    nvml = _nvml()
    if nvml is None:
        return []
    found: list[dict[str, Any]] = []
    with contextlib.suppress(Exception):
        driver = nvml.nvmlSystemGetDriverVersion()
        for device in _devices(nvml):
            total = nvml.nvmlDeviceGetMemoryInfo(device).total
            found.append({"name": str(nvml.nvmlDeviceGetName(device)), "memory_bytes": total, "driver": str(driver)})
    return found


def readings() -> dict[str, float]:
    """Return use, memory, temperature and power of each device now; what a device does not tell is left out."""
    nvml = _nvml()
    if nvml is None:
        return {}
    found: dict[str, float] = {}
    with contextlib.suppress(Exception):
        for place, device in enumerate(_devices(nvml)):
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
