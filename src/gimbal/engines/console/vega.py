"""The chart engine: PNG and SVG for reports, and the JavaScript library for pages, both out of vl-convert.

vl-convert brings a whole JavaScript engine (some 100 MB once it has drawn), so the server never loads it: the library
is put together by a short-lived process, once per installation, and pages draw in the browser. The worker and the
command line draw in their own process.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gimbal.engines.console import charts
from gimbal.engines.console.tokens import Theme
from gimbal.kernel.errors import Unavailable

NAME = "vega.js"
_SNIPPET = "window.vegaEmbed = vegaEmbed;"


def to_svg(spec: Mapping[str, Any], theme: Theme = "light") -> str:
    """Draw a Vega-Lite spec as SVG text in the colours of `theme`."""
    import vl_convert  # a JavaScript engine: only processes that draw pay for it

    return vl_convert.vegalite_to_svg(charts.themed(spec, theme))


def to_png(spec: Mapping[str, Any], scale: float = 2.0, theme: Theme = "light") -> bytes:
    """Draw a Vega-Lite spec as PNG; `scale` 2 gives two pixels for each point of the spec."""
    import vl_convert  # a JavaScript engine: only processes that draw pay for it

    return vl_convert.vegalite_to_png(charts.themed(spec, theme), scale=scale)


def write_library(path: Path) -> None:
    """Put Vega, Vega-Lite, Vega-Embed and the expression interpreter together in one file, written atomically."""
    import vl_convert  # a JavaScript engine: this runs in a process of its own

    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(vl_convert.javascript_bundle(_SNIPPET), encoding="utf-8")
    part.replace(path)


class Library:
    """The JavaScript chart library, kept in `folder` by the version of vl-convert."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = asyncio.Lock()

    @property
    def path(self) -> Path:
        """Where it lies once it has been put together."""
        return self._folder / f"vega-{version('vl-convert-python')}.js"

    async def read(self) -> bytes:
        """Return the library, put together first if need be (about 2 s); raise Unavailable when that fails."""
        async with self._lock:
            if not self.path.exists():
                await self._make()
        return await asyncio.to_thread(self.path.read_bytes)

    async def _make(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, str(self.path), stderr=asyncio.subprocess.PIPE
        )
        try:
            _, problem = await asyncio.wait_for(process.communicate(), timeout=60)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            problem = b"it took longer than 60 s"
        if process.returncode != 0 or not self.path.exists():
            last = problem.decode(errors="replace").strip().splitlines()[-1:]
            raise Unavailable(
                f"The chart library could not be put together: {' '.join(last)}",
                where=str(self.path),
                kept="The data of each chart stands in the table under it.",
                todo="Reinstall vl-convert-python, and see that the data folder has room.",
            )


if __name__ == "__main__":
    write_library(Path(sys.argv[1]))
