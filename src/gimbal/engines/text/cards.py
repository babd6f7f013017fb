"""Payment cards: 13 to 19 digits of an issuer's range and length that pass Luhn, in one piece or in a card's groups."""

from collections.abc import Iterator

from gimbal.engines.text.checksums import luhn
from gimbal.engines.text.matching import alone, digits_of, has_digits, matches, pattern
from gimbal.engines.text.model import Detector, Extent

# One form a pattern: the digits of another number may follow the groups of a card.
_FORMS = (
    pattern(r"\b(?:\d{13,19}|\d{4} \d{4} \d{4} \d{4}|\d{4}-\d{4}-\d{4}-\d{4})\b"),
    pattern(r"\b(?:\d{4} \d{6} \d{4,5}|\d{4}-\d{6}-\d{4,5})\b"),
    pattern(r"\b(?:\d{4} \d{4} \d{4} \d{4} \d{3}|\d{4}-\d{4}-\d{4}-\d{4}-\d{3})\b"),
)
# The first and the last number of a range, and the lengths its cards have.
_RANGES = (
    ("4", "4", frozenset({13, 16, 19})),  # Visa
    ("51", "55", frozenset({16})),  # Mastercard
    ("2221", "2720", frozenset({16})),  # Mastercard
    ("34", "34", frozenset({15})),  # American Express
    ("37", "37", frozenset({15})),  # American Express
    ("6011", "6011", frozenset({16, 19})),  # Discover
    ("644", "649", frozenset({16, 19})),  # Discover
    ("65", "65", frozenset({16, 19})),  # Discover, RuPay
    ("60", "60", frozenset({16})),  # RuPay
    ("81", "82", frozenset({16})),  # RuPay
    ("300", "305", frozenset({14, 16})),  # Diners Club
    ("36", "36", frozenset({14, 16})),  # Diners Club
    ("38", "39", frozenset({14, 16})),  # Diners Club
    ("3528", "3589", frozenset({16, 19})),  # JCB
    ("62", "62", frozenset({16, 17, 18, 19})),  # UnionPay
    ("2200", "2204", frozenset({16, 19})),  # Mir
    ("5018", "5020", frozenset({16, 18, 19})),  # Maestro
    ("5038", "5038", frozenset({16, 18, 19})),  # Maestro
    ("5893", "5893", frozenset({16, 18, 19})),  # Maestro
    ("6304", "6304", frozenset({16, 18, 19})),  # Maestro
    ("6759", "6763", frozenset({16, 18, 19})),  # Maestro
)


def is_card(digits: str) -> bool:
    """Tell whether the digits are those of a card that could have been issued."""
    issued = any(low <= digits[: len(low)] <= high and len(digits) in lengths for low, high, lengths in _RANGES)
    return issued and luhn(digits)


def _accept(data: bytes, extent: Extent) -> bool:
    return is_card(digits_of(data[extent.start : extent.end])) and alone(data, extent)


def find(data: bytes) -> Iterator[Extent]:
    """Yield the card numbers."""
    for form in _FORMS:
        yield from matches(form, data, lambda extent: _accept(data, extent))


CARD = Detector(
    name="card",
    kind="card",
    family="payment",
    description="payment cards: issuer, length and Luhn",
    rank=60,
    gate=has_digits,
    find=find,
)
