"""A chart in hand: shown by notebooks, written to a file. Drawn in the process of whoever asks, never in the server's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from gimbal.engines.console import charts, vega
from gimbal.engines.console.tokens import Theme
from gimbal.kernel.errors import BadInput

MIME = "application/vnd.vegalite.v6+json"
ENDINGS = (".png", ".svg", ".json")


class Plot:
    """A chart over runs; its spec is Vega-Lite with the data in it."""

    def __init__(self, spec: Mapping[str, Any], theme: Theme = "light") -> None:
        self.spec = dict(spec)
        self.theme: Theme = theme

    def png(self, scale: float = 2.0) -> bytes:
        """Return it as PNG; `scale` 2 gives two pixels for each point."""
        return vega.to_png(self.spec, scale=scale, theme=self.theme)

    def svg(self) -> str:
        """Return it as SVG."""
        return vega.to_svg(self.spec, theme=self.theme)

    def save(self, path: str | Path, scale: float = 2.0) -> Path:
        """Write it as PNG, SVG or Vega-Lite, as the ending of the name says; return where it is."""
        out = Path(path)
        check_ending(out)
        if out.suffix == ".json":
            content = msgspec.json.format(msgspec.json.encode(self.spec), indent=1)
        else:
            content = self.png(scale) if out.suffix == ".png" else self.svg().encode()
        partial = out.with_name(out.name + ".part")
        try:
            partial.write_bytes(content)
            partial.replace(out)
        finally:
            partial.unlink(missing_ok=True)
        return out

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """Return what a notebook shows: the spec where it can draw one, the picture elsewhere."""
        del include, exclude
        return {MIME: charts.themed(self.spec, self.theme), "image/svg+xml": self.svg()}


def check_ending(path: Path) -> None:
    """Raise BadInput for a file of a kind that is not written."""
    if path.suffix not in ENDINGS:
        raise BadInput(
            f"{path.name!r} says no kind of picture.", where="--out", todo=f"End it in {', '.join(ENDINGS)}."
        )
