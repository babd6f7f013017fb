"""Calls back when a module has been imported, at once when it is already; nothing is imported for it."""

import importlib.abc
import importlib.machinery
import importlib.util
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

_log = logging.getLogger("gimbal")
Patch = Callable[[ModuleType], None]


class _Loader(importlib.abc.Loader):
    """Loads as another loader does, then calls back."""

    def __init__(self, loader: Any, patch: Patch) -> None:
        self._loader = loader
        self._patch = patch

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        applied(self._patch, module)

    def __getattr__(self, name: str) -> Any:
        # Whatever else is asked of it (sources, resources) the loader itself answers.
        return getattr(self._loader, name)


class _Finder(importlib.abc.MetaPathFinder):
    """Stands before all others for the modules that are waited for."""

    def __init__(self) -> None:
        self.waiting: dict[str, Patch] = {}
        self._finding = threading.local()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self.waiting or getattr(self._finding, "name", "") == fullname:
            return None
        self._finding.name = fullname
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._finding.name = ""
        if spec is None or spec.loader is None:
            return None
        spec.loader = _Loader(spec.loader, self.waiting.pop(fullname))
        return spec


_finder = _Finder()


def when_imported(name: str, patch: Patch) -> None:
    """Call `patch` with the module once it is imported; what it raises is told and goes no further."""
    module = sys.modules.get(name)
    if module is not None:
        applied(patch, module)
        return
    _finder.waiting[name] = patch
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def applied(patch: Patch, module: ModuleType) -> None:
    """Call `patch`; a library of another shape than we know is left alone."""
    try:
        patch(module)
    except Exception as problem:  # noqa: BLE001 - whoever trains must not notice
        _log.warning("autolog leaves %s alone: %s: %s", module.__name__, type(problem).__name__, problem)
