"""Texts of answers inside XML and Markdown: nothing in them is markup, and what cannot be shown is replaced."""

import re

_UNFIT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010ffff]")
# Beside the signs themselves what GitHub makes a link of by itself.
_MARKED = re.compile(r"[&<>|`*_\[\]#@~\\$]|:(?=//)|(?<=[wW])\.")
_CUT = "…"


def shown(text: str, most: int) -> str:
    """Return a text of at most so many characters, without those that XML has not: controls, halves of characters."""
    cut = text if len(text) <= most else f"{text[: most - 1]}{_CUT}"
    return _UNFIT.sub("\ufffd", cut)


def xml(text: str, most: int) -> str:
    """Return a text for XML, in an element or in double quotes; line ends in it stay."""
    plain = shown(text, most)
    for sign, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("\r", "&#13;")):
        plain = plain.replace(sign, name)
    return plain


def attribute(text: str, most: int) -> str:
    """Return a text for an attribute of XML, whose line ends would become spaces otherwise."""
    return xml(text, most).replace("\n", "&#10;").replace("\t", "&#9;")


def cell(text: str, most: int = 300) -> str:
    """Return a text for a cell of a Markdown table: signs that could be markup, a mention or a link are written as numbers."""
    line = " ".join(shown(text, most).split())
    return _MARKED.sub(lambda found: f"&#{ord(found[0])};", line)
