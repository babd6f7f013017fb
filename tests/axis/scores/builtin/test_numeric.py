"""Numbers: what is read as one, which one counts, and how near it must be."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.axis.scores.builtin.numbers import numbers
from gimbal.axis.scores.builtin.numeric import numeric
from gimbal.axis.scores.model import SCORERS, ScoreValue
from gimbal.kernel.errors import BadInput


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It is 1,234,567.5 in all.", ["1234567.5"]),
        ("12,34,567 rupees", ["1234567"]),
        ("1'000 or 1\u202f000 or 1\u00a0000", ["1000", "1000", "1000"]),
        ("\u22125 degrees, then -3", ["-5", "-3"]),
        ("5 - 3", ["5", "3"]),
        ("on 2013-05-01", ["2013", "5", "1"]),
        (".5 and -.25", ["0.5", "-0.25"]),
        ("6.02e23, 1E-3", ["6.02E23", "0.001"]),
        ("1.2 × 10⁻³, 3*10^2, 10⁶", ["0.0012", "300", "1000000"]),
        ("\uff11\uff12\uff0e\uff15", ["12.5"]),
        ("٣", ["3"]),
        ("1,2,3", ["1", "2", "3"]),
        ("1234,567", ["1234", "567"]),
        ("€5.50, x=7, 3km.", ["5.50", "7", "3"]),
        ("v2, GPT4, A4.5, 1.2.3, 2^5", []),
        ("1e999 and 7", ["7"]),
        ("9" * 5_000, []),
        ("no number, -, ., %", []),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, found: list[str]) -> None:
    """Digits within words, versions and what no float can hold are no numbers."""
    assert [one.value for one in numbers(text)] == [Decimal(one) for one in found]


@given(st.decimals(-(10**9), 10**9, places=3))
def test_every_number_is_read_back(value: Decimal) -> None:
    """Plain, with thousands separators, with a decimal comma, and in powers of ten."""
    assert [one.value for one in numbers(f"x {value} y")] == [value]
    assert [one.value for one in numbers(f"x {value:,} y")] == [value]
    swapped = f"{value:,}".translate(str.maketrans(".,", ",."))
    assert [one.value for one in numbers(f"x {swapped} y", comma=True)] == [value]
    assert [float(one.value) for one in numbers(f"x {float(value):e} y")] == [pytest.approx(float(value), rel=1e-6)]


@pytest.mark.parametrize(
    ("number", "text", "params", "value"),
    [
        (72, "9 × 8 = 72", {}, 1.0),
        (9, "9 × 8 = 72", {}, 0.0),
        (9, "9 × 8 = 72", {"pick": "first"}, 1.0),
        (3.14, "about 3.14159", {}, 0.0),
        (3.14, "about 3.14159", {"absolute": 0.01}, 1.0),
        (0.3, "0.2", {"absolute": 0.1}, 1.0),
        (200, "199", {"relative": 0.005}, 1.0),
        (200, "198.9", {"relative": 0.005}, 0.0),
        (-200, "-199", {"relative": 0.005}, 1.0),
        (0, "0.1", {"relative": 0.5}, 0.0),
        (0.12, "12 %", {}, 1.0),
        (12, "12 %", {}, 0.0),
        (12, "12 percent", {"percent": "number"}, 1.0),
        ("12%", "0.12", {}, 1.0),
        (1234.5, "1.234,5", {"decimal": "comma"}, 1.0),
        (5, "5, I say 5.0", {"pick": "only"}, 1.0),
    ],
)
def test_the_number_that_counts_is_compared_within_the_tolerance(
    number: Any, text: str, params: dict[str, Any], value: float
) -> None:
    """The larger of both tolerances holds; the relative one is of the expected number."""
    assert numeric({"number": number}, {"text": text}, **params).value == value


def test_accepted_answers_stand_in_for_a_number() -> None:
    """Those that are one; what stands under `number` goes before them."""
    assert numeric({"answers": ["many", "1,000"]}, {"text": "1000"}).value == 1
    assert numeric({"number": 2, "answer": "1"}, {"text": "1"}).value == 0
    assert numeric({"answer": 7.5}, {"text": "7.5"}).value == 1


@pytest.mark.parametrize(
    "expected", [{}, {"number": None}, {"number": True}, {"answer": "many"}, {"number": float("nan")}]
)
def test_without_a_number_to_expect_the_score_is_missing(expected: dict[str, Any]) -> None:
    assert numeric(expected, {"text": "1"}).missing == "no_expectation"


def test_a_text_without_a_number_is_unparseable_not_wrong() -> None:
    """So are several numbers where there should be one; a text of megabytes is not read at all."""
    assert numeric({"number": 1}, {"text": "none"}) == ScoreValue(
        value=None, missing="unparseable", explanation="the output has no number"
    )
    assert numeric({"number": 1}, {"text": "1 or 2"}, pick="only").missing == "unparseable"
    assert numeric({"number": 1}, {"text": None}).missing == "no_output"
    assert numeric({"number": 1}, {"text": "1," * 2_500_000}).missing == "too_long"


def test_a_tolerance_is_not_negative() -> None:
    with pytest.raises(BadInput) as refused:
        SCORERS.get("numeric").checked({"absolute": -1})
    assert refused.value.where == "params.absolute"
