"""Money and pages: amounts that are never rounded before they are shown, cursors that cannot be forged."""

import contextlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.kernel.errors import BadInput
from gimbal.kernel.money import format_money, parse_money, total
from gimbal.kernel.pages import check_limit, cursor_number, cursor_text, decode_cursor, encode_cursor


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "unknown"),
        ("0", "$0"),
        ("0.00", "$0"),
        ("12.5", "$12.50"),
        ("1234567.891", "$1,234,567.89"),
        ("1", "$1.00"),
        ("0.5", "$0.5000"),
        ("0.00012345", "$0.0001234"),
        ("0.00000001", "$0.00000001000"),
        ("1e-12", "$0.000000000001"),
        ("1e-13", "<$0.000000000001"),
        ("-3", "-$3.00"),
        ("-0.25", "-$0.2500"),
    ],
)
def test_money_for_people(amount: str | None, text: str) -> None:
    """An unknown amount is never zero, and a tiny one neither."""
    assert format_money(None if amount is None else Decimal(amount)) == text


@given(st.decimals(0, Decimal("1e14"), allow_nan=False, allow_infinity=False))
def test_money_survives_its_text(amount: Decimal) -> None:
    """Exactly."""
    assert parse_money(str(amount)) == amount
    assert format_money(amount)


@pytest.mark.parametrize("text", ["", "-1", "NaN", "Infinity", "1,5", "$3", "1e999999", "x", "sNaN", "0x10", "1e15"])
def test_what_is_no_amount_is_told(text: str) -> None:
    """With its place."""
    with pytest.raises(BadInput) as caught:
        parse_money(text, "body.budget")
    assert caught.value.where == "body.budget"


def test_a_sum_says_how_much_of_it_is_unknown() -> None:
    """Missing is not zero."""
    assert total([Decimal("0.1"), None, Decimal("0.2"), None]) == (Decimal("0.3"), 2)
    assert total([]) == (0, 0)


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(exclude_categories=["Cs"])),
    )
)
def test_a_cursor_survives(place: dict[str, int | str]) -> None:
    """What was put in comes out, in an address as it is."""
    text = encode_cursor(place)

    assert decode_cursor(text) == place
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.text() | st.binary().map(lambda b: b.decode("latin-1")))
def test_any_text_is_a_cursor_or_bad_input(text: str) -> None:
    """Whatever a caller writes there."""
    for read in (decode_cursor, lambda t: cursor_number(t, "n"), lambda t: cursor_text(t, "n")):
        with contextlib.suppress(BadInput):
            read(text)


@pytest.mark.parametrize("value", [None, "1", 1.0, True, 2**63, -(2**63) - 1, [], {}])
def test_a_cursor_number_is_one_that_a_database_holds(value: object) -> None:
    """Anything else was forged."""
    with pytest.raises(BadInput):
        cursor_number(encode_cursor({"n": value}), "n")
    with pytest.raises(BadInput):
        cursor_number(encode_cursor({}), "n")


@pytest.mark.parametrize("value", [None, 1, "a\0b", []])
def test_a_cursor_text_is_one_that_a_database_holds(value: object) -> None:
    """Anything else was forged."""
    with pytest.raises(BadInput):
        cursor_text(encode_cursor({"n": value}), "n")


@pytest.mark.parametrize("limit", [0, -1, 1001, 10**9])
def test_pages_have_one_to_a_thousand_items(limit: int) -> None:
    """Others are refused, not silently cut."""
    assert [check_limit(n) for n in (1, 1000)] == [1, 1000]
    with pytest.raises(BadInput):
        check_limit(limit)
