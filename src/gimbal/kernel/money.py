"""Money is Decimal, in US dollars. An unknown amount is None, never zero.

Amounts of one token are small (1e-8 dollars), so nothing is rounded before it is shown.
"""

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from gimbal.kernel.errors import BadInput

ZERO = Decimal(0)
# More than all the money there is: larger texts such as 1e999999 are mistakes or attacks on whoever prints them.
_MOST = Decimal(10) ** 15
_SMALLEST_SHOWN = Decimal("1e-12")


def parse_money(text: str | int | Decimal, where: str = "amount") -> Decimal:
    """Read a finite, non-negative amount of dollars; raise BadInput otherwise. Floats are not taken: they round."""
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise BadInput(f"{text!r} is not an amount of money.", where=where, todo="Write dollars like 12.50.") from None
    if not amount.is_finite() or not 0 <= amount < _MOST:
        raise BadInput(
            f"{text!r} is not an amount of money.", where=where, todo="Give a finite amount from 0 to 10^15 dollars."
        )
    return amount


def format_money(amount: Decimal | None) -> str:
    """Return dollars for a person: four significant digits under a dollar, cents above; `unknown` for None."""
    if amount is None:
        return "unknown"
    if amount == 0:
        return "$0"
    sign, size = "-" if amount < 0 else "", abs(amount)
    if size < _SMALLEST_SHOWN:
        return f"{sign}<${_SMALLEST_SHOWN:f}"  # never shown as zero
    if size >= 1:
        return f"{sign}${size:,.2f}"
    return f"{sign}${size:.{min(12, 3 - size.adjusted())}f}"


def total(amounts: Iterable[Decimal | None]) -> tuple[Decimal, int]:
    """Return the sum of the known amounts and how many were unknown; a caller shows both."""
    known, unknown = ZERO, 0
    for amount in amounts:
        if amount is None:
            unknown += 1
        else:
            known += amount
    return known, unknown
