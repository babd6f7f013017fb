"""Personal data and secrets: out of inputs and answers, consistently, counted; what stays is said by name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimbal.axis.evals.building.cleaning import Cleaner

CLEANER = Cleaner([])
KEY = "sk-proj-" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7" * 2


def test_the_same_finding_has_the_same_name_in_all_of_an_example() -> None:
    values, counts = CLEANER.clean(
        [{"question": "Write to ann@example.org and bob@example.org"}, {"answer": "ANN@example.org has it."}]
    )

    assert values == [{"question": "Write to [EMAIL_1] and [EMAIL_2]"}, {"answer": "[EMAIL_1] has it."}]
    assert counts == {"email": 3}
    assert CLEANER.clean(["bob@example.org"])[0] == ["[EMAIL_1]"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"card": 4_111_111_111_111_111}, {"card": "[CARD_1]"}),
        ({"body": '{"to":["ann@example.org"]}'}, {"body": '{"to":["[EMAIL_1]"]}'}),
        ({"of": {"ann@example.org": 1}}, {"of": {"[EMAIL_1]": 1}}),
        ({"n": 12, "ok": True, "x": None}, {"n": 12, "ok": True, "x": None}),
        ({"text": "[EMAIL] and [email:dropped]"}, {"text": "[EMAIL] and [email:dropped]"}),
    ],
)
def test_it_is_found_wherever_it_stands(given: dict[str, Any], told: dict[str, Any]) -> None:
    assert CLEANER.clean([given])[0] == [told]


def test_fields_whose_names_become_the_same_are_all_kept() -> None:
    (found,), _ = CLEANER.clean([{"of": {"ann@example.org": 1, "ANN@example.org": 2, "[EMAIL_1]": 3}}])

    assert sorted(found["of"].values()) == [1, 2, 3]
    assert "example.org" not in str(found)


def test_what_is_kept_is_kept_by_name_and_secrets_never() -> None:
    (text,), counts = Cleaner(["contact"]).clean([f"ann@example.org says {KEY}"])

    assert text.startswith("ann@example.org says [")
    assert KEY not in text
    assert "email" not in counts


def test_many_and_large_texts_take_linear_time() -> None:
    """Tens of thousands of different findings in one text."""
    text = " ".join(f"user{n}@example.org" for n in range(40_000))

    (found,), counts = CLEANER.clean([text])

    assert (counts, found.endswith("[EMAIL_40000]")) == ({"email": 40_000}, True)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda one: st.lists(one) | st.dictionaries(st.text(), one), max_leaves=6))  # fmt: skip
def test_twice_is_as_once(value: Any) -> None:
    """Any script, NUL and all: placeholders are found by nothing again."""
    once, _ = CLEANER.clean([value])

    assert CLEANER.clean(once)[0] == once
