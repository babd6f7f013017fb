"""A text that is not shown: neither by repr and str, nor as JSON, nor in a pickle."""

from typing import NoReturn


class Secret:
    """Holds a key; whoever sends it says so by `reveal`."""

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text."""
        return self._text

    def __bool__(self) -> bool:
        """Tell whether there is one."""
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        """Compare what is held."""
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "Secret(***)" if self._text else "Secret()"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")
