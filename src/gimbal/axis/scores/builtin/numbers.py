"""Finds numbers in text as people write them: `1,234.5`, `−3`, `1'000`, `.5`, `12 %`, `6.02e23`, `1.2 × 10⁻³`."""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

# A run of digits and marks is taken whole and never given back, so that no text takes more than linear time.
_NUMBER = re.compile(
    r"""(?P<lead>[A-Za-z_]|(?<![\w)])[-+])?
        (?P<run>(?:(?<![\w.])\.)?\d++(?:[.,]\d++)*+)
        (?:(?:\^|\*\*)(?P<raised>[-+]?\d{1,4}))?
        (?P<exponent>[eE][-+]?\d{1,4}(?!\w))?
        (?:[ ]?[×x*·][ ]?10(?:\^|\*\*)(?P<power>[-+]?\d{1,4}))?
        (?P<percent>[ ]?%|[ ]percent\b|[ ]per[ ]cent\b)?""",
    re.VERBOSE,
)
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})++(?:\.\d+)?|\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d+)?")
_PLAIN = re.compile(r"\d*\.\d+|\d+")
_SPACED = re.compile(r"(?<=\d)[\u00a0\u2009\u202f'\u2019](?=\d{3}(?!\d))")
_RAISED = re.compile("10([⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,4})")
_LOWER = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")
# Signs of full width, and other signs for minus and percent.
_NARROW = {0xFEE0 + ord(sign): sign for sign in "0123456789,.+-%"} | {0x2212: "-", 0xFE63: "-", 0x66A: "%"}
_SWAPPED = str.maketrans(".,", ",.")
_SHOWN = 60
_FURTHEST = 300
_LONGEST_PIECE = 2 * _FURTHEST


class Number(NamedTuple):
    """One number of a text."""

    value: Decimal
    """As it is written, before a percent sign is read."""
    percent: bool
    written: str


def numbers(text: str, *, comma: bool = False) -> Iterator[Number]:
    """Yield the numbers of a text from left to right; `comma` where a comma is what parts the decimals.

    Digits within a word (`v2`, `GPT4`) and runs that are no number (`1.2.3`) are passed over, as is what is
    raised to a power unless it is ten.
    """
    plain = _RAISED.sub(lambda found: f"10^{found[1].translate(_LOWER)}", text.translate(_NARROW))
    for found in _NUMBER.finditer(_SPACED.sub("", plain)):
        lead, run = found["lead"] or "", found["run"]
        if lead not in {"", "-", "+"} or (found["raised"] and run != "10"):
            continue
        run = run.translate(_SWAPPED) if comma else run
        written = found[0][:_SHOWN].strip()
        pieces = [run.replace(",", "")] if _GROUPED.fullmatch(run) else run.split(",")
        for place, piece in enumerate(pieces):
            last = place == len(pieces) - 1
            value = _value(piece, found if last else None, minus=lead == "-" and place == 0)
            if value is not None:
                yield Number(value, last and found["percent"] is not None, written)


def _value(piece: str, found: re.Match[str] | None, *, minus: bool) -> Decimal | None:
    """Return a piece of a run as a number, with the power of ten behind it; None where it is none, or beyond a float."""
    if len(piece) > _LONGEST_PIECE or _PLAIN.fullmatch(piece) is None:
        return None
    power = 0
    if found is not None:
        power = int((found["exponent"] or "e0")[1:]) + int(found["power"] or 0)
        if found["raised"]:
            piece, power = "1", power + int(found["raised"])
    value = Decimal(piece)
    if abs(value.adjusted() + power) > _FURTHEST:
        return None
    value = value.scaleb(power)
    return -value if minus else value
