"""How the demo tells what it does: one line per step with its time, findings under it, and where to look."""

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

_console = Console(highlight=False)


class Story:
    """Prints the progress and remembers where things can be seen."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._places: list[tuple[str, str]] = []
        self._rings: list[tuple[str, float]] = []

    def ring(self, title: str) -> None:
        """Start a ring."""
        self._rings.append((title, time.monotonic()))
        _console.print()
        _console.print(Text(title, style="bold"))

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Print a step with the time that it took."""
        started = time.monotonic()
        with _console.status(f"  {what} …"):
            yield
        seconds = f"{time.monotonic() - started:6.1f} s"
        _console.print(Text.assemble((f"{seconds}  ", "dim"), what), soft_wrap=True)

    def note(self, text: str) -> None:
        """Print a finding."""
        _console.print(Text(f"           {text}", style="cyan"), soft_wrap=True)

    def look(self, what: str, path: str) -> None:
        """Remember where something can be seen."""
        self._places.append((what, f"{self.url}/p/default{path}"))

    def failed(self, error: Exception) -> None:
        """Print why a ring stopped."""
        _console.print(Text.assemble(("  failed: ", "bold red"), str(error)), soft_wrap=True)

    def close(self, seconds: float, *, whole: bool) -> None:
        """Print where to look, and whether both rings turned."""
        _console.print()
        if self._places:
            _console.print(Text("Where to look", style="bold"))
        for what, url in self._places:
            _console.print(f"  {what:<42} {url}", soft_wrap=True)
        words = "Both rings turned" if whole else "Not every step succeeded; run the demo again when that is mended"
        _console.print(Text(f"\n{words}; {seconds:.0f} s in all.", style="dim"))
