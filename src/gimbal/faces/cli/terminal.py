"""A console of rich that leaves a closed pipe to the entry point: to read only the first lines is no failure."""

from rich.console import Console


class Terminal(Console):
    """What everything is printed on."""

    def on_broken_pipe(self) -> None:
        """Raise it again."""
        raise BrokenPipeError
