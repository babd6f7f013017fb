"""The design tokens, read from `static/css/tokens.css`: the one place where colours and sizes are written.

Charts take their colours from here, and the tests measure contrast with it.
"""

import functools
import re
from typing import Literal

from gimbal.engines.console.assets import FOLDER

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, Theme] = ("light", "dark")

_DECLARATION = re.compile(r"--([\w-]+):\s*([^;]+);")
_PAIR = re.compile(r"light-dark\(\s*([^,]+?)\s*,\s*([^,)]+?)\s*\)")


@functools.cache
def tokens(theme: Theme) -> dict[str, str]:
    """Return every token by name without its dashes, colours as they are in `theme`."""
    text = (FOLDER / "css" / "tokens.css").read_text(encoding="utf-8")
    return {name: _PAIR.sub(r"\1" if theme == "light" else r"\2", value) for name, value in _DECLARATION.findall(text)}


def luminance(colour: str) -> float:
    """Return the relative luminance of `#rrggbb` (WCAG 2.2, definition of relative luminance)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, 1 to 21 (WCAG 2.2, 1.4.3: text needs 4.5, large text and marks 3)."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
